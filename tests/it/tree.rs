//! What the crate depends on.

use std::process::Command;

/// The names of what a build needs when it runs, the crate itself first.
fn depends_on(features: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--package",
            "sendwhen",
            "--prefix",
            "none",
        ])
        .args(["--edges", "normal,no-proc-macro", "--no-dedupe"])
        .args(["--no-default-features", "--features", features])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let mut names: Vec<String> = lines.lines().map(name).collect();
    names[1..].sort();
    names.dedup();
    names
}

#[test]
fn thiserror_is_the_only_dependency() {
    for features in ["", "default", "alloc", "std"] {
        assert_eq!(
            depends_on(features),
            ["sendwhen", "thiserror"],
            "{features}"
        );
    }
    let with_http = depends_on("http");
    let expected = ["sendwhen", "bytes", "http", "itoa", "thiserror"];
    assert_eq!(with_http, expected);
}
