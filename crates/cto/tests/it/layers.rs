//! Dependency layers: what real projects need to verify without a network.

use std::fs;

use crate::support::{Installation, codes, contract, write};

#[test]
fn a_frozen_directory_is_there_read_only_in_every_cage() {
    let installation = Installation::new();
    let repository = installation.repository(
        "repo",
        &[("value.py", "import helper\nVALUE = helper.bad()\n"), ("test_value.py", "import unittest, value\nclass T(unittest.TestCase):\n    def test_value(self):\n        self.assertEqual(value.VALUE, 1)\n")],
    );
    let packages = installation.dir.path().join("packages");
    write(
        &packages.join("helper.py"),
        b"def good():\n    return 1\n\ndef bad():\n    return 2\n",
    );
    let (exit, frozen) = installation.json(&[
        "deps",
        "freeze",
        packages.to_str().unwrap(),
        "--mount",
        "/opt/packages",
        "--name",
        "helper",
    ]);
    assert_eq!(exit, 0, "{frozen:#}");
    // What happens to the source afterwards does not matter.
    fs::remove_dir_all(&packages).unwrap();
    let mut task = contract("layer", &repository);
    task["allowed_paths"] = serde_json::json!(["value.py"]);
    task["dependency_layers"] = serde_json::json!([frozen["layer"]]);
    task["verification_commands"] = serde_json::json!([[
        "env",
        "PYTHONPATH=/opt/packages",
        "python3",
        "-m",
        "unittest",
        "test_value"
    ]]);
    task.as_object_mut().unwrap().remove("canary_patch");
    let script = "sed -i s/bad/good/ value.py; echo x > /opt/packages/evil.py; test -r /opt/packages/helper.py";
    let (exit, report) = installation.agent(&task, script);
    assert_eq!((exit, codes(&report)), (0, vec![]), "{:#}", report["blockers"]);
}

#[test]
fn a_layer_that_is_not_in_the_store_blocks_and_says_how_to_make_it() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let mut task = contract("no-layer", &repository);
    let digest = format!("sha256:{}", "0".repeat(64));
    task["dependency_layers"] = serde_json::json!([{"name": "gone", "mount": "/opt/gone", "digest": digest}]);
    let (exit, report) = installation.agent(&task, "true");
    assert_eq!(
        (exit, codes(&report)),
        (3, vec!["provider_unavailable".to_owned()]),
        "{report:#}"
    );
    assert!(
        report["blockers"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("deps freeze"),
        "{report:#}"
    );
    assert_eq!(report["case_process_started"], false);
}
