"""What `weft bench ring` measures and says: its cases, its three forms of output, its picture, and what it refuses. Never how fast
something was: that is for people to read."""
import csv
import io
import json
import xml.etree.ElementTree

from support import WeftTest

HEADER = "label,items,slots,elapsed_ns,per_ps,prod_spins,cons_spins"
USUAL = ["os_ring_cold", "os_ring_warm", "wasm_ring_cold", "wasm_ring_warm"]
ALL = ["os_ring_cold", "os_ring_warm", "os_ring_wait", "wasm_ring_cold", "wasm_ring_warm", "wasm_ring_wait", "os_file_io", "file_io"]
# Quick, and still some laps around the ring.
SMALL = ("--items", "5000", "--slots", "64", "--runs", "1")


class Bench(WeftTest):
    def bench(self, *args, **more):
        answer = self.weft("bench", "ring", *args, **more)
        self.assertEqual((answer.status, answer.err), (0, ""), answer)
        return answer.out

    def rows(self, *args):
        """The rows of --csv-only, with numbers as numbers."""
        text = self.bench("--csv-only", *args)
        self.assertEqual(text.splitlines()[0], HEADER)
        self.assertTrue(text.endswith("\n"))
        return [{k: v if k == "label" else int(v) for k, v in row.items()} for row in csv.DictReader(io.StringIO(text))]

    def test_usual_cases_in_a_table(self):
        lines = self.bench(*SMALL).splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["case", *USUAL])
        for line in lines[1:]:
            self.assertEqual(line.split()[1:3], ["5,000", "64"], line)

    def test_csv_follows_the_table(self):
        table, rows = self.bench("--csv", *SMALL).split("\n\n")
        self.assertTrue(table.startswith("case "))
        self.assertEqual(rows.splitlines()[0], HEADER)
        self.assertEqual([line.split(",")[0] for line in rows.splitlines()[1:]], USUAL)

    def test_csv_only(self):
        rows = self.rows(*SMALL)
        self.assertEqual([row["label"] for row in rows], USUAL)
        for row in rows:
            self.assertEqual((row["items"], row["slots"]), (5000, 64))
            self.assertGreater(row["elapsed_ns"], 0)
            self.assertEqual(row["per_ps"], row["elapsed_ns"] * 1000 // 5000)

    def test_sweep(self):
        rows = self.rows("--sweep", "--slots-list", "64,2,256", "--items", "300", "--runs", "1")
        self.assertEqual([(row["slots"], row["label"]) for row in rows], [(slots, label) for slots in (64, 2, 256) for label in USUAL])
        # The list alone is a sweep, too; without one there is a usual list.
        rows = self.rows("--slots-list", "8,4", "--items", "10", "--runs", "1", "--cases", "wasm_ring_warm")
        self.assertEqual([row["slots"] for row in rows], [8, 4])
        rows = self.rows("--sweep", "--items", "10", "--runs", "1", "--cases", "wasm_ring_warm")
        self.assertEqual([row["slots"] for row in rows], [16, 64, 256, 1024, 4096, 16384])

    def test_all_cases(self):
        rows = self.rows(*SMALL, "--cases", "all", "--file-operations", "100", "--file-threads", "3")
        self.assertEqual([row["label"] for row in rows], ALL)
        for row in rows[-2:]:
            # Each of the three threads does the same, so there are a few more than were asked for.
            self.assertEqual((row["items"], row["slots"], row["prod_spins"], row["cons_spins"]), (102, 0, 0, 0))

    def test_smallest(self):
        # The sum of the items is checked by weft itself in each of these.
        for items, slots in ((1, 2), (2, 2), (3, 2), (7, 4), (1, 1024), (1025, 1024)):
            rings = ",".join(ALL[:6])
            self.assertEqual(len(self.rows("--items", items, "--slots", slots, "--runs", "1", "--cases", rings)), 6)

    def test_batches_and_patience(self):
        rings = ",".join(ALL[:6])
        for batch in (1, 3, 16, 1000):
            for patience in (0, 1):
                rows = self.rows("--items", "2000", "--slots", "16", "--runs", "1", "--cases", rings, "--batch", batch, "--patience", patience)
                self.assertEqual(len(rows), 6)

    def test_one_worker_is_enough(self):
        # Two threads that spin, and one worker: they take turns because they are preempted.
        self.assertEqual(len(self.rows("--items", "100", "--slots", "16", "--runs", "1", "--workers", "1", "--cases", ",".join(ALL[3:6]))), 3)

    def test_json(self):
        document = json.loads(self.bench("--json", "--items", "5000", "--slots", "64", "--runs", "3", "--workers", "2", "--cases", "os_ring_warm,wasm_ring_warm"))
        self.assertEqual((document["benchmark"], document["workers"]), ("ring", 2))
        self.assertEqual([row["label"] for row in document["results"]], ["os_ring_warm", "wasm_ring_warm"])
        for row in document["results"]:
            self.assertEqual((row["items"], row["slots"], row["batch"], len(row["runs_ns"])), (5000, 64, 8, 3))
            self.assertEqual(row["elapsed_ns"], sorted(row["runs_ns"])[1])
            self.assertGreaterEqual(set(row), set(HEADER.split(",")))
        native, guest = document["results"]
        self.assertNotIn("times_native", native)
        self.assertAlmostEqual(guest["times_native"], guest["elapsed_ns"] / native["elapsed_ns"], places=6)

    def test_waiting_is_counted(self):
        document = json.loads(self.bench("--json", "--items", "20000", "--slots", "4", "--runs", "1", "--cases", "os_ring_wait,wasm_ring_wait", "--patience", "0"))
        for row in document["results"]:
            # Who waits has looked in vain before, each time.
            self.assertLessEqual(row["prod_parks"], row["prod_spins"])
            self.assertLessEqual(row["cons_parks"], row["cons_spins"])
            self.assertGreater(row["prod_parks"] + row["cons_parks"], 0)

    def test_plot(self):
        for lists in (("--slots-list", "4,16,64"), ("--slots", "16"), ("--slots", "16", "--cases", "all", "--file-operations", "10")):
            self.bench(*lists, "--items", "500", "--runs", "1", "--plot", "out.svg")
            root = xml.etree.ElementTree.parse(self.dir / "out.svg").getroot()
            space = "{http://www.w3.org/2000/svg}"
            self.assertEqual(root.tag, f"{space}svg")
            texts = [text.text for text in root.iter(f"{space}text")]
            for label in USUAL:
                self.assertEqual(texts.count(label), 1)
            self.assertNotIn("file_io", texts)
            width, height = (float(root.get(name)) for name in ("width", "height"))
            points = list(root.iter(f"{space}circle"))
            self.assertGreaterEqual(len(points), len(USUAL))
            for point in points:
                self.assertTrue(0 < float(point.get("cx")) < width and 0 < float(point.get("cy")) < height, point.attrib)
        self.assertEqual(sorted(path.name for path in self.dir.iterdir()), ["out.svg", "runtime"])

    def test_plot_that_cannot_be_written(self):
        answer = self.weft("bench", "ring", *SMALL, "--plot", "no/such/place.svg")
        self.assert_says(answer, 73, "no/such/place.svg")

    def test_files_leave_nothing_behind(self):
        scratch = self.dir / "scratch"
        scratch.mkdir()
        answer = self.weft("bench", "ring", "--cases", "os_file_io,file_io", "--file-operations", "700", "--file-threads", "1", "--runs", "1",
                           env={"TMPDIR": str(scratch)})
        self.assertEqual((answer.status, answer.err), (0, ""), answer)
        self.assertEqual(list(scratch.iterdir()), [])

    def test_no_place_for_files(self):
        answer = self.weft("bench", "ring", "--cases", "file_io", env={"TMPDIR": str(self.dir / "not-there")})
        self.assertNotEqual(answer.status, 0)
        self.assert_first_line(answer, "bench: file_io")

    def test_output_that_nobody_reads(self):
        process = self.start("bench", "ring", *SMALL)
        process.stdout.close()
        process.stdout = None
        self.assertEqual(self.finish(process).status, 141)

    def test_help(self):
        text = self.weft("help", "bench").out
        for flag in ("items", "slots", "sweep", "slots-list", "csv", "csv-only", "json", "cases", "runs", "workers", "plot", "help"):
            if flag != "help":
                self.assertIn(f"--{flag}", text)
        for name in ALL:
            self.assertIn(name, text)
        self.assertEqual(self.weft("bench", "--help").out, text)
        self.assertEqual(self.weft("bench", "ring", "--help").out, text)
        self.assertIn("bench", self.weft("--help").out)
        self.assertIn(".SH WEFT BENCH", self.weft("man").out)

    def test_completions_know_it(self):
        for shell in ("bash", "zsh", "fish"):
            script = self.weft("completions", shell).out
            self.assertIn("slots-list", script)
            self.assertIn("wasm_ring_wait", script)


class Refusals(WeftTest):
    def refused(self, *args, says):
        answer = self.weft("bench", *args)
        self.assert_says(answer, 2, *([says] if isinstance(says, str) else says))
        self.assertEqual(answer.out, "")

    def test_slots(self):
        for value, says in (("0", "at least 2"), ("1", "at least 2"), ("3", "a power of two: 2 or 4"), ("1000", "512 or 1024"), ("-4", "whole number"),
                            ("many", "whole number"), ("", "needs a value"), ("1073741824", "at most 536870912"), ("99999999999999999999", "at most")):
            self.refused("ring", f"--slots={value}", says=("--slots", says))

    def test_items(self):
        for value, says in (("0", "at least 1"), ("2147483648", "at most 2147483647"), ("-1", "whole number"), ("1e6", "whole number")):
            self.refused("ring", f"--items={value}", says=("--items", says))

    def test_lists(self):
        for value, says in (("", "needs a value"), (",", "empty"), ("64,,256", "empty"), ("64,", "empty"), ("64,100", "'100'"), ("64;128", "whole number"),
                            ("64,64", "'64' is there twice"), ("2,x", "'x'")):
            self.refused("ring", f"--slots-list={value}", says=("--slots-list", says))

    def test_cases(self):
        self.refused("ring", "--cases", "wasm_ring_wram", says=("wasm_ring_wram", "did you mean wasm_ring_warm"))
        self.refused("ring", "--cases", "everything", says=("everything", "file_io"))
        self.refused("ring", "--cases", "file_io,", says="empty")

    def test_other_numbers(self):
        for flag in ("runs", "workers", "batch", "file-operations", "file-threads"):
            self.refused("ring", f"--{flag}=0", says=f"--{flag}")
        self.refused("ring", "--file-threads=65", says="at most 64")

    def test_what_does_not_go_together(self):
        self.refused("ring", "--json", "--csv", says=("--json", "--csv"))
        self.refused("ring", "--json", "--csv-only", says=("--json", "--csv"))
        self.refused("ring", "--slots", "64", "--sweep", says=("--slots", "--slots-list"))
        self.refused("ring", "--slots", "64", "--slots-list", "64", says=("--slots", "--slots-list"))
        self.refused("ring", "--cases", "file_io", "--plot", "out.svg", says="--plot")
        self.refused("ring", "--plot", "", says="empty")

    def test_words(self):
        self.refused(says="ring")
        self.refused("rnig", says=("rnig", "ring"))
        self.refused("ring", "ring", says="one word too many")
        self.refused("ring", "--itmes", "5", says="--items")

