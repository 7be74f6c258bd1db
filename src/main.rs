//! Parses the arguments, runs, and gives the exit code.

fn main() -> std::process::ExitCode {
    ekscope::cli::main()
}
