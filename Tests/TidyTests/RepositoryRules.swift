// What holds for the repository as a whole: licence, scripts, and nothing of one machine in it.

let readmeLimit = 150

let repositoryRules: [TidyRule] = [
    TidyRule(
        "the licence is there, and it is Apache 2.0",
        broken: [SourceTree(), SourceTree(SourceFile("LICENSE", "All rights reserved."))],
        kept: SourceTree(SourceFile("LICENSE", "  Apache License\n  Version 2.0, January 2004\n"))
    ) { tree in
        let text = tree.file("LICENSE")?.text ?? ""
        return text.contains("Apache License") && text.contains("Version 2.0")
            ? [] : [Finding(path: "LICENSE", line: 1, message: "no Apache License 2.0 here")]
    },
    TidyRule(
        "the README has fewer than \(readmeLimit) lines",
        broken: [SourceFile("README.md", String(repeating: "\n", count: readmeLimit))],
        kept: [
            SourceFile("README.md", String(repeating: "\n", count: readmeLimit - 1)),
            SourceFile("docs/README.md", String(repeating: "\n", count: 1000)),
        ],
        inspect: { file in
            guard file.path == "README.md", file.lineCount >= readmeLimit else { return [] }
            return [(readmeLimit, "\(file.lineCount) lines; fewer than \(readmeLimit) are wanted")]
        }
    ),
    TidyRule(
        "scripts can be executed and stop at the first error",
        broken: [
            SourceFile("Scripts/a.sh", "#!/usr/bin/env bash\nset -euo pipefail\n"),
            SourceFile("Scripts/a.sh", "#!/usr/bin/env bash\n", isExecutable: true),
            SourceFile("Scripts/a.sh", "set -euo pipefail\n", isExecutable: true),
            SourceFile("Scripts/a.sh", "echo\n"),
            SourceFile(".ci/run", "#!/usr/bin/env bash\nset -euo pipefail\n"),
        ],
        kept: [
            SourceFile(
                ".ci/run",
                "#!/usr/bin/env bash\nset -euo pipefail\n",
                isExecutable: true
            ),
            SourceFile("Scripts/common.sh", "# shellcheck shell=bash\nroot=1\n"),
            SourceFile("Scripts/notes.txt", "text"),
        ],
        inspect: { file in
            let isScript = file.isIn("Scripts") && file.path.hasSuffix(".sh")
            guard isScript || file.path == ".ci/run" else { return [] }
            // A file that others source carries this line instead of an interpreter.
            if file.lines.first == "# shellcheck shell=bash" { return [] }
            var messages: [String] = []
            if file.lines.first != "#!/usr/bin/env bash" {
                messages.append("no bash interpreter line")
            }
            if !file.lines.contains("set -euo pipefail") { messages.append("no set -euo pipefail") }
            if !file.isExecutable { messages.append("not executable") }
            return messages.map { (1, $0) }
        }
    ),
    TidyRule(
        "nothing names a path of one machine",
        broken: [
            SourceFile("docs/A.md", "Run /wo" + "rk/main/run.sh"),
            SourceFile("Scripts/a.sh", "PATH=/opt/" + "swift/usr/bin"),
            SourceFile("Sources/Sockets/A.swift", "// \"/ho" + "me/me/key.pem\""),
            SourceFile("Package.swift", "path: \"/ro" + "ot/x\""),
        ],
        kept: [
            SourceFile(
                "docs/A.md",
                "https://example.com/ho" + "me/a, ./wo" + "rk/x, a/ro" + "ot/b"
            ),
            SourceFile("docs/B.md", "/etc/ssl/certs, /usr/bin/env, /tmp"),
        ],
        inspect: { file in
            let machine = [
                "/wo" + "rk/", "/opt/" + "swift", "/ho" + "me/", "/ro" + "ot/", "/Us" + "ers/",
            ]
            return file.lines.enumerated().compactMap { index, line in
                let found = machine.first { isPath($0, in: line) }
                return found.map { (index + 1, "names \($0), a path of one machine") }
            }
        }
    ),
    TidyRule(
        "what a build makes is not tracked",
        broken: [
            SourceFile("Package.resolved"),
            SourceFile("Benchmarks/Package.resolved"),
            SourceFile(".build/debug.yaml"),
            SourceFile("Benchmarks/.build-tsan/x"),
            SourceFile("crash-" + String(repeating: "0a", count: 20)),
        ],
        kept: [
            SourceFile("Package.resolved", isTracked: false),
            SourceFile("Package.swift"),
            SourceFile("docs/.buildkite"),
            SourceFile("Fuzzing/Findings/server/timeout-in-a-hello"),
        ],
        inspect: { file in
            guard file.isTracked else { return [] }
            let isBuild = file.path.split(separator: "/").contains {
                $0 == ".build" || $0.hasPrefix(".build-") || $0.hasPrefix(".build_")
            }
            return isBuild || file.name == "Package.resolved" || isLeftByFuzzer(file.name)
                ? [(1, "is tracked by git")] : []
        }
    ),
    TidyRule(
        "nothing that is run reads a certificate that expires",
        broken: [
            SourceFile("Tests/SocketsTests/A.swift", "f(file: \"Cer" + "ts/leaf-chain.pem\")"),
            SourceFile("Tests/InteropTests/Peers/a.py", "-----BEGIN CERTI" + "FICATE-----"),
            SourceFile("Benchmarks/a.pem", "x\n-----BEGIN CERTI" + "FICATE-----"),
            SourceFile("Fuzzing/Targets/A.swift", "\"../Cer" + "ts\""),
        ],
        kept: [
            SourceFile("Cer" + "ts/leaf-chain.pem", "-----BEGIN CERTI" + "FICATE-----"),
            SourceFile("docs/A.md", "Cer" + "ts/leaf-chain.pem"),
            SourceFile("Tests/SocketsTests/A.swift", "certificates.write(to: directory)"),
        ],
        inspect: { file in
            guard file.isIn("Tests", "Fuzzing", "Benchmarks") else { return [] }
            let traces = ["Cer" + "ts/", "/Cer" + "ts", "BEGIN CERTI" + "FICATE"]
            return file.lines.enumerated().compactMap { index, line in
                traces.contains { line.contains($0) }
                    ? (index + 1, "reads a committed certificate; issue one with TLSTestKit") : nil
            }
        }
    ),
]

/// Whether libFuzzer names what it found like this: a kind and a SHA-1.
private func isLeftByFuzzer(_ name: String) -> Bool {
    let parts = name.split(separator: "-")
    return parts.count > 1 && parts[parts.count - 1].count == 40
        && parts[parts.count - 1].allSatisfy(\.isHexDigit)
}

/// Whether the line has this path with nothing before it that makes it part of a longer one.
private func isPath(_ path: String, in line: Substring) -> Bool {
    guard line.contains(path) else { return false }
    return line.indices.contains { index in
        guard line[index...].hasPrefix(path) else { return false }
        guard index > line.startIndex else { return true }
        let before = line[line.index(before: index)]
        return !(before.isLetter || before.isNumber || "._-/~".contains(before))
    }
}
