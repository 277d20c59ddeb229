// Weft's side of the benchmarks, against the public interface only. bench/run runs it beside the peers in bench/peers; by hand:
//
//   weft-bench switch --guests bench/guests --n 1000 --iterations 2000 [--trace]
//   weft-bench preempt --guests bench/guests --n 100 --seconds 1
//   weft-bench spawn --guests bench/guests --workers 1 --count 100000
//   weft-bench parked --guests bench/guests --n 100000
//   weft-bench fairness --guests bench/guests --workers 2 --seconds 2
//   weft-bench scaling --guests bench/guests --workers 4 --rounds 20 --repeats 3
//   weft-bench overhead --guests bench/guests --guest sort --rounds 20 --repeats 3
//   weft-bench idle --guests bench/guests --n 10000 --seconds 5
//   weft-bench kernels --guest build/bench/kernels.wasm --repeats 3
//   weft-bench strand-yield --guests bench/guests --n 1000 --iterations 2000
//   weft-bench strand-spawn --guests bench/guests --n 64 --count 100000
//   weft-bench strand-parked --guests bench/guests --n 30000
//   weft-bench channels --workers 2 --count 1000000
//   weft-bench wait-set --n 10000 --count 100000
//   weft-bench manage --guests bench/guests --workers 2 --n 10000 --count 100000
//   weft-bench fuel --count 10000
//   weft-bench bridge --workers 2 --count 100000
//   weft-bench restart --workers 4 --n 10000 --count 2000
//
// Each with --fibers continuations, if processes are to run on those.
// One JSON object a line on standard output.
#include <string>

#include "benchmarks.hpp"
#include "measure.hpp"

int main(int argc, char** argv) {
  using namespace weft_bench;
  const Options options = Options::parse(argc, argv);
  const std::pair<const char*, void (*)(const Options&)> benchmarks[] = {{"switch", bench_switch},
                                                                         {"preempt", bench_preempt},
                                                                         {"spawn", bench_spawn},
                                                                         {"parked", bench_parked},
                                                                         {"fairness", bench_fairness},
                                                                         {"scaling", bench_scaling},
                                                                         {"overhead", bench_overhead},
                                                                         {"idle", bench_idle},
                                                                         {"kernels", bench_kernels},
                                                                         {"strand-yield", bench_strand_yield},
                                                                         {"strand-spawn", bench_strand_spawn},
                                                                         {"strand-parked", bench_strand_parked},
                                                                         {"channels", bench_channels},
                                                                         {"guest-channels", bench_guest_channels},
                                                                         {"wait-set", bench_wait_set},
                                                                         {"manage", bench_manage},
                                                                         {"fuel", bench_fuel},
                                                                         {"bridge", bench_bridge},
                                                                         {"restart", bench_restart}};
  for (const auto& [name, run] : benchmarks) {
    if (options.bench == name) {
      run(options);
      return 0;
    }
  }
  fail("unknown benchmark " + options.bench);
}
