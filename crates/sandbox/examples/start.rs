//! Starts a program in isolation and says how it ended, what it used and who kept its limits:
//!
//! ```text
//! cargo run -p plugyard-sandbox --example start -- /usr/bin/env
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Instant;

use plugyard_sandbox::{Launcher, Spec, reap_leftovers, shim};
use tokio::io::AsyncReadExt;

fn main() -> Result<(), Box<dyn Error>> {
    // Must come before the runtime: the shim may have only one thread.
    shim::run_if_asked();
    tokio::runtime::Runtime::new()?.block_on(start())
}

async fn start() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let program = args.next().ok_or("which program?")?;
    let run_dir = std::env::temp_dir().join("plugyard-sandbox-example");
    reap_leftovers(&run_dir)?;

    let mut spec = Spec::new("example", program);
    spec.args = args.collect();
    let began = Instant::now();
    let mut process = Launcher::new(&run_dir)?.spawn(spec).await?;
    println!(
        "process {} started within {:?}",
        process.pid(),
        began.elapsed()
    );
    println!("{:#?}\n{:#?}", process.isolation(), process.enforcement());
    if let Some(mut stdout) = process.stdout.take() {
        let mut said = String::new();
        stdout.read_to_string(&mut said).await?;
        print!("{said}");
    }
    println!("{:?}\n{}", process.usage(), process.wait().await.status);
    Ok(())
}
