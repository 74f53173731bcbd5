// What holds for tests: nothing waits for a time to pass, nothing is switched off, no fixed ports.

/// Files whose ports are only parsed and printed, or given to no socket.
///
/// An entry says why. A test that binds takes port 0; one that needs a closed port binds 0 first.
private let filesWithTextPorts: [String: String] = [
    "Tests/SocketCoreTests/AddressParserTests.swift": "addresses are parsed and printed",
    "Tests/SocketCoreTests/NetworkAddressTests.swift": "addresses are encoded and decoded",
    "Tests/SocketsTests/SocketAddressTests.swift": "addresses are parsed and printed",
    "Tests/TLSInspectionTests/ProxyHeaderTests.swift": "headers are written and read",
    "Tests/TLSInspectionTests/ListenInteropTests.swift": "addresses stand in headers",
]

let testRules: [TidyRule] = [
    TidyRule(
        "tests wait for events, never for time to pass",
        broken: [
            SourceFile("Tests/SocketsTests/A.swift", "try await Task.sleep(for: .seconds(1))"),
            SourceFile("Tests/SocketsTests/A.swift", "usleep(100)"),
            SourceFile("Tests/SocketsTests/A.swift", "Thread.sleep(forTimeInterval: 1)"),
            SourceFile("Tests/SocketsTests/A.swift", "unsafe nanosleep(&time, nil)"),
            SourceFile("Tests/SocketsTests/A.swift", "ContinuousClock().sleep(for: time)"),
            SourceFile(
                "Tests/SocketsTests/A.swift",
                "try await Task.sleep(until: a, clock: .continuous)"
            ),
        ],
        kept: [
            SourceFile(
                "Tests/SocketsTests/A.swift",
                "// no sleep(1)\nlet sleep = 1\nf(\"sleep(\")"
            ),
            SourceFile("Tests/TLSTestKitTests/B.swift", "try await manualClock.sleep(for: a)"),
            SourceFile("Tests/TLSTestKitTests/C.swift", "func sleep(until a: Instant) {}"),
            SourceFile("Sources/SocketCore/A.swift", "sleep(1)"),
        ],
        inspect: realSleeps
    ),
    TidyRule(
        "no test is switched off or excused",
        broken: [
            SourceFile("Tests/SocketsTests/A.swift", "@Test(.disabled(\"flaky\")) func a() {}"),
            SourceFile("Tests/SocketsTests/A.swift", "withKnownIssue { f() }"),
            SourceFile("Tests/SocketsTests/A.swift", "throw XCTSkip()"),
        ],
        kept: [
            SourceFile("Tests/SocketsTests/A.swift", "// .disabled(\nlet disabled = 1\nf.disabled")
        ],
        inspect: { file in
            guard file.isSwift, file.isIn("Tests") else { return [] }
            let disabled = file.tokens.occurrences(of: ".", "disabled", "(")
                .map { (file.tokens[$0].line, "disables a test") }
            let excused = file.tokens.filter { $0.isWord("withKnownIssue", "XCTSkip") }
                .map { ($0.line, "\($0.text) excuses a failure") }
            return disabled + excused
        }
    ),
    TidyRule(
        "tests are written with Swift Testing",
        broken: [SourceFile("Tests/SocketsTests/A.swift", "import XCTest")],
        kept: [
            SourceFile("Tests/SocketsTests/A.swift", "import Testing // not XCTest"),
            // Somebody else's package may test as it likes.
            SourceFile("Tests/PackageTests/Fixtures/A.swift", "import XCTest"),
        ],
        inspect: { file in
            guard file.isSwift, file.isIn("Tests"), !file.path.contains("/Fixtures/") else {
                return []
            }
            return file.tokens.filter { $0.isWord("XCTest") }.map { ($0.line, "names XCTest") }
        }
    ),
    TidyRule(
        "no test relies on a fixed port",
        broken: [
            SourceFile("Tests/SocketsTests/A.swift", "try bind(\"127.0.0.1\", port: 8443)"),
            SourceFile("Tests/SocketsTests/A.swift", "f(localPort: 9, port:\n 1)"),
        ],
        kept: [
            SourceFile("Tests/SocketsTests/A.swift", "try bind(\"127.0.0.1\", port: 0)"),
            SourceFile("Tests/SocketsTests/B.swift", "connect(port: server.port) // port: 80"),
            SourceFile("Tests/SocketCoreTests/AddressParserTests.swift", "f(port: 443)"),
        ],
        inspect: { file in
            guard file.isSwift, file.isIn("Tests"), filesWithTextPorts[file.path] == nil else {
                return []
            }
            return file.tokens.occurrences(of: "port", ":").compactMap { index in
                guard let value = file.tokens.token(after: index + 1), value.kind == .number,
                    Int(value.text.filter { $0 != "_" }) != 0
                else { return nil }
                return (value.line, "port \(value.text) is fixed; take port 0")
            }
        }
    ),
    TidyRule(
        "a serialized suite says why",
        broken: [
            SourceFile("Tests/SocketsTests/A.swift", "\n@Suite(.serialized) struct A {}"),
            SourceFile("Tests/SocketsTests/A.swift", "struct B {}\n\n@Suite(.serialized)"),
        ],
        kept: [
            SourceFile(
                "Tests/SocketsTests/A.swift",
                "// One signal handler a process.\n@Suite(.serialized)"
            ),
            SourceFile("Tests/SocketsTests/B.swift", "@Suite(.serialized) // counts descriptors"),
        ],
        inspect: { file in
            guard file.isSwift, file.isIn("Tests") else { return [] }
            return file.tokens.occurrences(of: ".", "serialized").compactMap { index in
                let line = file.tokens[index].line
                let said = [line - 1, line].contains { number in
                    number >= 1 && file.lines[number - 1].contains("//")
                }
                return said ? nil : (line, "no comment says why this is serialized")
            }
        }
    ),
]

/// Every call that lets real time pass; a clock that is turned by hand may be slept on.
private func realSleeps(_ file: SourceFile) -> [(line: Int, message: String)] {
    guard file.isSwift, file.isIn("Tests") else { return [] }
    let sleepers: Set = ["Task", "Thread", "Glibc", "Foundation"]
    let realClocks: Set = ["ContinuousClock", "SuspendingClock"]
    return file.tokens.indices.compactMap { index in
        let token = file.tokens[index]
        guard token.isWord("sleep", "usleep", "nanosleep"),
            file.tokens.token(after: index)?.isSymbol("(") == true
        else { return nil }
        let before = file.tokens[max(0, index - 4)..<index].map(\.text)
        let isReal =
            before.last == "."
            ? sleepers.contains(before.dropLast().last ?? "")
                || (before.suffix(3) == ["(", ")", "."] && realClocks.contains(before[0]))
            : before.last != "func"
        return isReal ? (token.line, "\(token.text) lets real time pass") : nil
    }
}
