//! vitest, jest, bun and node: patterns, filters and module kinds.

use super::*;

const ESM: &str = "import { x } from \"./x.js\";\n";
const CJS: &str = "const x = require(\"./x.js\")";

#[test]
fn vitest_imports_what_it_needs() {
    let added = "\nimport { test as t_aaaqeayeaudao } from \"vitest\";\nt_aaaqeayeaudao(\"aaaqeayeaudao\", () => {\n  throw new Error(";
    let files = [
        ("src/a.test.ts", ESM),
        ("src/b.spec.mjs", ESM),
        ("src/x.js", ESM),
        ("node_modules/a.test.js", ESM),
    ];
    check(&files, "vitest run", "vitest", "src/a.test.ts", added);
    check(&files, "npx vitest", "vitest", "src/a.test.ts", added);
    check(&files, "vitest run b.spec", "vitest", "src/b.spec.mjs", added);
    check(&files, "vitest run --root src b", "vitest", "src/b.spec.mjs", added);
    check(
        &files,
        "vitest run -t 'slug ify'",
        "vitest",
        "src/a.test.ts",
        "t_aaaqeayeaudao(\"slug ify aaaqeayeaudao\"",
    );
    check_none(&files, "vitest run -t '^a$'", "no test title");
    check_none(&files, "vitest bench", "bench");
    check_none(&files, "vitest run gone", "no file");
    let config = "export default defineConfig({ optimizeDeps: { include: ['z'] }, test: { include: ['checks/**/*.ts'], coverage: { include: ['src'] } } })";
    let own = [
        ("vitest.config.ts", config),
        ("checks/deep/one.ts", ESM),
        ("src/a.test.ts", ESM),
    ];
    check(&own, "vitest run", "vitest", "checks/deep/one.ts", added);
    let only = [
        ("a.test.ts", "import x from 'x';\nit.only('x', () => {});\n"),
        ("deep/b.test.ts", ESM),
    ];
    check(&only, "vitest run", "vitest", "deep/b.test.ts", added);
    check_none(&[("a.test.cjs", CJS)], "vitest run", "no file");
}

#[test]
fn jest_uses_its_global() {
    let added = "\n;test(\"aaaqeayeaudao\", () => {\n  throw new Error(";
    let files = [("__tests__/a.js", CJS), ("src/b.test.tsx", ESM), ("src/c.ts", ESM)];
    check(&files, "jest", "jest", "__tests__/a.js", added);
    check(&files, "jest --ci src/b", "jest", "src/b.test.tsx", added);
    check(
        &files,
        "jest --runTestsByPath src/b.test.tsx",
        "jest",
        "src/b.test.tsx",
        added,
    );
    check(
        &files,
        "jest -t slug",
        "jest",
        "__tests__/a.js",
        ";test(\"slug aaaqeayeaudao\"",
    );
    check_none(&files, "jest --findRelatedTests src/c.ts", "--findRelatedTests");
    check_none(&[("a.test.js", "const test = require('tape')")], "jest", "no file");
    let globals = [("a.test.js", "const { test: t } = require('@jest/globals')")];
    check(
        &globals,
        "jest",
        "jest",
        "a.test.js",
        "\n;require(\"@jest/globals\").test(",
    );
    let globals = [("a.test.js", "import { test } from '@jest/globals';\n")];
    check(
        &globals,
        "jest",
        "jest",
        "a.test.js",
        "import { test as t_aaaqeayeaudao } from \"@jest/globals\"",
    );
    for (name, text) in [
        (
            "package.json",
            r#"{"jest":{"testMatch":["<rootDir>/checks/**/*.[jt]s?(x)"]}}"#,
        ),
        (
            "jest.config.js",
            "module.exports = { testMatch: ['**/checks/**/*.js'] }",
        ),
    ] {
        let own = [(name, text), ("checks/one.js", CJS), ("a.test.js", CJS)];
        check(&own, "jest", "jest", "checks/one.js", added);
    }
}

#[test]
fn bun_takes_either_kind_of_module() {
    let files = [("a.test.ts", ESM), ("b_spec.js", CJS), ("c.js", CJS)];
    check(
        &files,
        "bun test b",
        "bun test",
        "b_spec.js",
        "\n;require(\"bun:test\").test(\"aaaqeayeaudao\"",
    );
    check(
        &files,
        "bun test ./a.test.ts",
        "bun test",
        "a.test.ts",
        "\nimport { test as t_aaaqeayeaudao } from \"bun:test\";\n",
    );
    check(
        &files,
        "bun test -t x a",
        "bun test",
        "a.test.ts",
        "t_aaaqeayeaudao(\"x aaaqeayeaudao\"",
    );
    check_none(&files, "bun test --only", "--only");
}

#[test]
fn node_follows_the_kind_of_the_module() {
    let import = "\nimport { test as t_aaaqeayeaudao } from \"node:test\";\nt_aaaqeayeaudao(\"aaaqeayeaudao\", () => {";
    let require = "\n;require(\"node:test\").test(\"aaaqeayeaudao\", () => {";
    for (file, text, package, added) in [
        ("a.test.mjs", "", "{}", import),
        ("a.test.cjs", CJS, r#"{"type":"module"}"#, require),
        ("a.test.js", CJS, "{}", require),
        ("a.test.js", "", "{}", require),
        ("a.test.js", "", r#"{"type":"module"}"#, import),
        ("test/a.js", ESM, r#"{"type":"module"}"#, import),
        ("test.js", ESM, "{}", import),
        ("lib/a-test.cjs", "", "{}", require),
    ] {
        check(
            &[(file, text), ("package.json", package)],
            "node --test",
            "node --test",
            file,
            added,
        );
    }
    let files = [
        ("test/a.js", CJS),
        ("other/b.test.js", CJS),
        ("other/c.js", CJS),
        ("node_modules/d.test.js", CJS),
    ];
    check(&files, "node --test other/c.js", "node --test", "other/c.js", require);
    check(&files, "node --test other/", "node --test", "other/b.test.js", require);
    check(
        &files,
        "node --test 'other/*.test.js'",
        "node --test",
        "other/b.test.js",
        require,
    );
    check(
        &files,
        "node --test --test-reporter spec",
        "node --test",
        "test/a.js",
        require,
    );
    check(
        &files,
        "node --test --test-name-pattern=slug",
        "node --test",
        "test/a.js",
        "(\"slug aaaqeayeaudao\"",
    );
    check(
        &files,
        "node --test --test-only",
        "node --test",
        "test/a.js",
        ", { only: true }, () =>",
    );
    check_none(&files, "node --test --test-name-pattern='a+'", "no test title");
    check_none(&files, "node --test gone.js", "no file");
    check_none(&[("src/a.js", "")], "node --test", "no file");
}
