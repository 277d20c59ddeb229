//! Arguments in, figures out: what all benchmarks of this program share.

use std::path::PathBuf;

pub struct Options {
    pub bench: String,
    pub guests: PathBuf,
    pub n: usize,
    pub iterations: usize,
    pub workers: usize,
    pub count: usize,
    pub seconds: f64,
    pub rounds: usize,
    pub repeats: usize,
}

impl Options {
    pub fn from_arguments() -> Result<Self, String> {
        let mut arguments = std::env::args().skip(1);
        let mut options = Options {
            bench: arguments.next().ok_or("say which benchmark")?,
            guests: PathBuf::from("bench/guests"),
            n: 1000,
            iterations: 1000,
            workers: 1,
            count: 10_000,
            seconds: 1.0,
            rounds: 10,
            repeats: 1,
        };
        while let Some(name) = arguments.next() {
            let text = arguments.next().ok_or(format!("{name} needs a value"))?;
            let number = || {
                text.parse::<usize>()
                    .map_err(|_| format!("{name} {text}: not a number"))
            };
            match name.as_str() {
                "--guests" => options.guests = PathBuf::from(&text),
                "--n" => options.n = number()?,
                "--iterations" => options.iterations = number()?,
                "--workers" => options.workers = number()?,
                "--count" => options.count = number()?,
                "--rounds" => options.rounds = number()?,
                "--repeats" => options.repeats = number()?,
                "--seconds" => {
                    options.seconds = text
                        .parse()
                        .map_err(|_| format!("--seconds {text}: not a number"))?;
                }
                _ => return Err(format!("unknown option {name}")),
            }
        }
        Ok(options)
    }
}

/// `extra` is the inside of a JSON object, or empty.
pub fn report(bench: &str, case: &str, n: usize, value: f64, unit: &str, extra: &str) {
    println!(
        "{{\"system\":\"tokio\",\"bench\":\"{bench}\",\"case\":\"{case}\",\"n\":{n},\"value\":{value:.4},\"unit\":\"{unit}\",\"extra\":{{{extra}}}}}"
    );
}

/// Sorts; 0.0 is the least, 1.0 the greatest. Zero when there are no values.
pub fn quantile(values: &mut [u64], q: f64) -> f64 {
    values.sort_unstable();
    match values.len() {
        0 => 0.0,
        n => values[(q * (n - 1) as f64) as usize] as f64,
    }
}

/// Memory of this program, and of its page tables.
pub fn memory_kib() -> (f64, f64) {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or(0.0)
    };
    (field("VmRSS:"), field("VmPTE:"))
}

pub fn maps() -> usize {
    std::fs::read_to_string("/proc/self/maps").map_or(0, |text| text.lines().count())
}

pub fn cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// How often threads of this program went to sleep, which is how often something woke them.
pub fn context_switches() -> i64 {
    // SAFETY: rusage is plain data, and the pointer is to a live one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    usage.ru_nvcsw
}
