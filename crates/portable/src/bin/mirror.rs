//! The plugin `mirror` of the tests as a program; see `plugyard_portable::testing::mirror`.

fn main() -> std::process::ExitCode {
    plugyard_portable::testing::mirror::main()
}
