//! Prints each argument as `arg <n>=<text>`, then each variable as `env <name>=<value>`, sorted by name.
fn main() {
    for (index, text) in std::env::args().enumerate() {
        println!("arg {index}={text}");
    }
    let mut variables: Vec<(String, String)> = std::env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("env {name}={value}");
    }
}
