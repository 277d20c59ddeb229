"""Runs one test for ctest: `run_one.py FILE CLASS.METHOD`. Status 77 when it was skipped, so that ctest counts it as that."""
import importlib
import sys
import unittest

suite = unittest.defaultTestLoader.loadTestsFromName(sys.argv[2], importlib.import_module(sys.argv[1]))
result = unittest.TextTestRunner(verbosity=2).run(suite)
if result.testsRun == 0 or not result.wasSuccessful():
    sys.exit(1)
sys.exit(77 if result.skipped else 0)
