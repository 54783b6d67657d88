//! pytest and unittest: collected files, filters, node ids and the text that is added.

use super::*;

const TEST: &str = "import unittest\n\n\nclass ATest(unittest.TestCase):\n    def test_a(self):\n        pass\n\n\nif __name__ == \"__main__\":\n    unittest.main()\n";
const PLAIN: &str = "def test_a():\n    pass\n\n\nclass TestB:\n    def test_c(self):\n        pass\n";
const NAME: &str = "def test_aaaqeayeaudao():\n    raise AssertionError(";

fn pytest(files: &[(&str, &str)], line: &str, file: &str, added: &str) {
    check(files, line, "pytest", file, added);
}

#[test]
fn pytest_collects_by_arguments_and_configuration() {
    let two = [
        ("test_a.py", PLAIN),
        ("tests/test_b.py", PLAIN),
        ("helper.py", ""),
        ("node_modules/test_c.py", ""),
    ];
    pytest(&two, "pytest -q", "test_a.py", NAME);
    pytest(&two, "pytest tests", "tests/test_b.py", NAME);
    pytest(&two, "pytest ./tests/test_b.py", "tests/test_b.py", NAME);
    pytest(&two, "pytest /workspace/tests", "tests/test_b.py", NAME);
    pytest(&two, "pytest 'tests/*.py'", "tests/test_b.py", NAME);
    pytest(&two, "pytest helper.py", "helper.py", NAME);
    pytest(&two, "pytest --ignore test_a.py", "tests/test_b.py", NAME);
    pytest(&two, "sh -c 'cd tests && pytest'", "tests/test_b.py", NAME);
    pytest(
        &two,
        "pytest -p no:cacheprovider --tb short -n 4 tests",
        "tests/test_b.py",
        NAME,
    );
    pytest(&two, "pytest --cov -q --cov-report term tests", "tests/test_b.py", NAME);
    let configured = |name: &str, text: &str| {
        let files = [
            ("check_z.py", PLAIN),
            ("test_a.py", PLAIN),
            ("t/test_b.py", PLAIN),
            (name, text),
        ];
        String::from_utf8(run(&files, &words("pytest")).unwrap().file).unwrap()
    };
    assert_eq!(configured("pytest.ini", "[pytest]\ntestpaths = t\n"), "t/test_b.py");
    assert_eq!(
        configured("pytest.ini", "[pytest]\ntestpaths =\n    gone\n    t\n"),
        "t/test_b.py"
    );
    assert_eq!(configured("pytest.ini", "[pytest]\ntestpaths = gone\n"), "test_a.py");
    assert_eq!(
        configured("pyproject.toml", "[tool.pytest.ini_options]\ntestpaths = [\"t\"]\n"),
        "t/test_b.py"
    );
    assert_eq!(
        configured("tox.ini", "[tox]\na = b\n[pytest]\npython_files = check_*.py\n"),
        "check_z.py"
    );
    assert_eq!(
        configured("setup.cfg", "[tool:pytest]\naddopts = --ignore=test_a.py -q\n"),
        "t/test_b.py"
    );
    assert_eq!(configured("setup.cfg", "[pytest]\ntestpaths = t\n"), "test_a.py");
    assert_eq!(
        configured("pyproject.toml", "[tool.other]\ntestpaths = [\"t\"]\n"),
        "test_a.py"
    );
}

#[test]
fn pytest_names_match_the_filters() {
    let files = [("test_a.py", PLAIN)];
    for (line, added) in [
        ("pytest -k slug", "def test_slug_aaaqeayeaudao():"),
        ("pytest -kslug", "def test_slug_aaaqeayeaudao():"),
        ("pytest -k 'slug and not slow'", "def test_slug_aaaqeayeaudao():"),
        ("pytest -k 'not slow'", NAME),
        ("pytest -k test_a", NAME),
        (
            "pytest -k 'slug and (wide or long)'",
            "def test_slug_wide_long_aaaqeayeaudao():",
        ),
        ("pytest -m 'not slow'", NAME),
        ("pytest -m unit", "@__import__(\"pytest\").mark.unit\ndef test_"),
        (
            "pytest -m 'unit and fast'",
            "mark.unit\n@__import__(\"pytest\").mark.fast\ndef test_",
        ),
    ] {
        pytest(&files, line, "test_a.py", added);
    }
    check_none(&files, "pytest -k 'a[1]'", "no test name can be made");
    check_none(&files, "pytest -k 'a and not a'", "no test name matches");
    check_none(&files, "pytest -k 'not py'", "no test name matches");
    check_none(&files, "pytest --collect-only", "--collect-only");
    check_none(&files, "pytest gone", "no file that pytest collects");
    check_none(&[], "pytest", "no file that pytest collects");
    let own = [
        ("test_a.py", ""),
        ("pytest.ini", "[pytest]\npython_functions = check_* test\n"),
    ];
    pytest(&own, "pytest", "test_a.py", "def check_aaaqeayeaudao():");
}

#[test]
fn pytest_takes_over_what_a_node_id_names() {
    let files = [("test_a.py", PLAIN), ("test_b.py", PLAIN)];
    pytest(
        &files,
        "pytest test_a.py::test_a",
        "test_a.py",
        "def test_a():\n    raise",
    );
    pytest(
        &files,
        "pytest test_a.py::TestB",
        "test_a.py",
        "\nTestB.test_aaaqeayeaudao = _aaaqeayeaudao\n",
    );
    pytest(
        &files,
        "pytest test_a.py::TestB::test_c",
        "test_a.py",
        "\nTestB.test_c = _aaaqeayeaudao\n",
    );
    pytest(&files, "pytest test_a.py::test_a test_b.py", "test_b.py", NAME);
    check_none(&files, "pytest 'test_a.py::test_a[1]'", "no file");
    check_none(&files, "pytest test_a.py::gone", "no file");
    check_none(&files, "pytest -k a test_a.py::test_a", "by name and by");
}

#[test]
fn appended_code_keeps_line_ends_and_closes_the_last_line() {
    let files = [("test_a.py", "def test_a():\r\n    pass  # no end")];
    let found = run(&files, &words("pytest")).unwrap();
    let text = String::from_utf8(found.content).unwrap();
    assert!(
        text.contains("# no end\r\n\r\n\r\ndef test_") && !text.replace("\r\n", "").contains('\n'),
        "{text:?}"
    );
    assert_eq!(found.test_name, format!("test_{TOKEN}"));
    check_none(&[("test_a.py", "x = 1 \\")], "pytest", "no file");
}

#[test]
fn skipped_modules_come_last() {
    for mark in [
        "pytestmark = pytest.mark.skip\n",
        "pytest.skip('x', allow_module_level=True)\n",
        "x = pytest.importorskip('x')\n",
        "raise unittest.SkipTest()\n",
    ] {
        pytest(
            &[("test_a.py", mark), ("tests/test_b.py", PLAIN)],
            "pytest",
            "tests/test_b.py",
            NAME,
        );
        pytest(&[("test_a.py", mark)], "pytest", "test_a.py", NAME);
    }
}

fn unittest(files: &[(&str, &str)], line: &str, file: &str, added: &str) {
    check(files, line, "unittest", file, added);
}

#[test]
fn unittest_discovers_by_its_own_rules() {
    let class = "class Test_aaaqeayeaudao(__import__(\"unittest\").TestCase):\n    def test_aaaqeayeaudao(self):\n        self.fail(";
    let files = [
        ("test_a.py", TEST),
        ("pkg/__init__.py", ""),
        ("pkg/test_b.py", TEST),
        ("loose/test_c.py", TEST),
        ("check_d.py", TEST),
    ];
    unittest(&files, "python3 -m unittest", "test_a.py", class);
    unittest(&files, "python3 -m unittest -v -f", "test_a.py", class);
    unittest(&files, "python3 -m unittest discover -s pkg", "pkg/test_b.py", class);
    unittest(
        &files,
        "python3 -m unittest discover pkg 'test*.py'",
        "pkg/test_b.py",
        class,
    );
    unittest(
        &files,
        "python3 -m unittest discover -s loose -t loose",
        "loose/test_c.py",
        class,
    );
    unittest(
        &files,
        "python3 -m unittest discover -p 'check_*.py'",
        "check_d.py",
        class,
    );
    unittest(&files, "python3 -m unittest test_a", "test_a.py", class);
    unittest(&files, "python3 -m unittest pkg.test_b", "pkg/test_b.py", class);
    unittest(&files, "python3 -m unittest loose/test_c.py", "loose/test_c.py", class);
    unittest(
        &files,
        "python3 -m unittest pkg.test_b.ATest",
        "pkg/test_b.py",
        "\nATest.test_aaaqeayeaudao = _aaaqeayeaudao\n",
    );
    unittest(
        &files,
        "python3 -m unittest test_a.ATest.test_a",
        "test_a.py",
        "\nATest.test_a = _aaaqeayeaudao\n",
    );
    unittest(
        &files,
        "python3 -m unittest -k slug",
        "test_a.py",
        "def test_slug_aaaqeayeaudao(self)",
    );
    unittest(
        &files,
        "python3 -m unittest -k '*slug*'",
        "test_a.py",
        "def test_slug_aaaqeayeaudao(self)",
    );
}

#[test]
fn unittest_says_when_nothing_is_loaded() {
    let files = [("test_a.py", TEST), ("pkg/__init__.py", "")];
    check_none(&files, "python3 -m unittest -k 'a*b'", "no test name");
    check_none(&files, "python3 -m unittest discover -s gone", "is not there");
    check_none(&files, "python3 -m unittest gone", "no module");
    check_none(&files, "python3 -m unittest test_a.Gone", "no module");
    // Discovery does not enter a directory that is no package.
    check_none(&[("loose/test_c.py", TEST)], "python3 -m unittest", "no module");
    check_none(
        &[
            ("pkg/__init__.py", "def load_tests(a, b, c): pass"),
            ("pkg/test_b.py", TEST),
        ],
        "python3 -m unittest",
        "no module",
    );
}

#[test]
fn hints_decide_between_collected_files() {
    let other = "import other\ndef test_z(): pass\n";
    let uses = "from strings import slugify\n";
    let files = [
        ("a/test_a.py", other),
        ("test_b.py", other),
        ("test_c.py", uses),
        ("test_d.py", uses),
    ];
    let choose = |changed: &[&str], inputs: &[&str]| {
        let changed: Vec<Vec<u8>> = changed.iter().map(|path| path.as_bytes().to_vec()).collect();
        let inputs: Vec<String> = inputs.iter().map(|path| (*path).to_owned()).collect();
        let hints = Hints {
            changed: &changed,
            verification_inputs: &inputs,
        };
        String::from_utf8(
            generate(&Memory::new(&files), &words("pytest"), hints, SEED)
                .unwrap()
                .file,
        )
        .unwrap()
    };
    assert_eq!(choose(&[], &[]), "test_b.py");
    assert_eq!(choose(&[], &["a/"]), "a/test_a.py");
    assert_eq!(choose(&["test_b.py"], &[]), "test_c.py");
    assert_eq!(choose(&["src/strings.py"], &["a/*.py"]), "test_c.py");
    assert_eq!(choose(&["src/strings.py", "test_c.py"], &[]), "test_d.py");
    assert_eq!(choose(&["strings.py", "test_c.py", "test_d.py"], &[]), "test_c.py");
}
