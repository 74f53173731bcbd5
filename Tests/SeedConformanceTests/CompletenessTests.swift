// Every member of the draft has a test of its name or stands in the list of what is pending, and in
// docs/SEED.md. The rules are functions of values, so each is shown to find what it must.

import Foundation
import Testing

@Suite struct CompletenessTests {
    @Test("every member of the draft is tested or pending, and nothing is both or neither")
    func members() throws {
        let found = gaps(try Seed.definitions(), try testedMembers(), pendingMembers)
        #expect(found == [])
        let total = try Seed.definitions().map(\.members.count).reduce(0, +)
        let tested = try testedMembers().values.map(\.count).reduce(0, +)
        #expect(tested + pendingMembers.count == total)
    }

    @Test("a test that carries a member's name runs and expects something")
    func strength() throws {
        let subjects = Set(try Seed.definitions().map(\.name))
        let suites = try SuiteSource.all().filter { subjects.contains($0.subject) }
        #expect(suites.flatMap(\.weaknesses) == [])
    }

    @Test("the list of what is pending only gets shorter")
    func pending() {
        #expect(pendingMembers.count <= pendingLimit)
        #expect(pendingLimit <= 1)
        #expect(Set(pendingMembers).count == pendingMembers.count)
        #expect(pendingMembers.allSatisfy { !$0.why.isEmpty })
    }

    @Test("docs/SEED.md has a row for every member, and calls pending what is")
    func table() throws {
        let root = Seed.folder.deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "docs/SEED.md"), encoding: .utf8)
        #expect(tableGaps(try Seed.definitions(), pendingMembers, text) == [])
    }

    @Test("docs/TLS-MEMBERS.md has a row for every TLS member, and names functions that are called")
    func functions() throws {
        let root = Seed.folder.deletingLastPathComponent().deletingLastPathComponent()
        let text = try String(
            contentsOf: root.appending(path: "docs/TLS-MEMBERS.md"),
            encoding: .utf8
        )
        let subjects = ["TLSSocketInit", "TLSSocketInfo"]
        let definitions = try Seed.definitions().filter { subjects.contains($0.name) }
        #expect(definitions.count == subjects.count)
        #expect(tableGaps(definitions, pendingMembers, text) == [])
        let sources = try ["TLSEngine", "COpenSSL", "CTLSTransport"]
            .map { try allText(below: root.appending(path: "Sources/\($0)")) }.joined()
        let names = text.matches(of: /`([A-Z0-9]+_[A-Za-z0-9_]+)`/).map { String($0.1) }
        #expect(names.count > subjects.count)
        #expect(names.filter { !sources.contains("\($0)(") } == [])
    }

    private func allText(below folder: URL) throws -> String {
        let paths = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
        let endings = [".swift", ".c", ".h"]
        return try paths.filter { path in endings.contains { path.hasSuffix($0) } }.map {
            try String(contentsOf: folder.appending(path: $0), encoding: .utf8)
        }.joined()
    }

    // MARK: The rules themselves

    private let sample = [
        SeedDefinition(kind: .interface, name: "A", members: [.init("x"), .init("y")])
    ]

    @Test("a gap of each kind is found")
    func gapsAreFound() {
        let y = PendingMember("A", "y", "later")
        #expect(gaps(sample, ["A": ["x"]], [y]) == [])
        #expect(gaps(sample, ["A": ["x"]], []) == ["A.y is neither tested nor pending"])
        #expect(gaps(sample, ["A": ["x", "y"]], [y]) == ["A.y is pending and tested"])
        #expect(
            gaps(sample, ["A": ["x", "z"]], [y]) == ["A.z is tested and no member of the draft"]
        )
        #expect(
            gaps(sample, ["A": ["x", "y"]], [PendingMember("B", "y", "later")])
                == ["B.y is pending and no member of the draft"]
        )
    }

    @Test("a row that is missing, too much, or says the wrong thing is found")
    func tableGapsAreFound() {
        let y = PendingMember("A", "y", "later")
        let good = "## A\n| `x` | `A.x` | |\n| `y` | pending | later |\n"
        #expect(tableGaps(sample, [y], good) == [])
        #expect(tableGaps(sample, [], good) == ["A.y: only the table calls it pending"])
        #expect(
            tableGaps(sample, [y], "## A\n| `x` | `A.x` | |\n| `y` | `A.y` | |")
                == ["A.y: only the code calls it pending"]
        )
        #expect(tableGaps(sample, [y], "## A\n| `y` | pending | |") == ["A.x has no row"])
        #expect(tableGaps(sample, [y], good + "| `z` | | |") == ["A.z is no member of the draft"])
    }

    @Test("tests are read from code alone, and hollow or switched ones are found")
    func sources() throws {
        let source = """
            // @Test func comment() { #expect(true) }
            @Suite(.timeLimit(.minutes(1))) struct ATests {
                let text = "@Test func text() {} \\(f("}"))"
                @Test("a law of {") func x() { #expect(f { 1 }) }
                @Test(arguments: [1]) func `y z`(_ n: Int) async throws { try #require(n) }
                @Test func hollow() { _ = 1 }
                func helper() { @Test func inner() {} }
            }
            """
        let suite = try #require(SuiteSource.read(source).first)
        #expect(suite.subject == "A")
        #expect(suite.tests.map(\.name) == ["x", "y z", "hollow"])
        #expect(suite.weaknesses == ["A.hollow expects nothing"])
        let off = "#if os(Windows)\nstruct BTests { @Test(.disabled()) func x() { #expect(a) } }"
        #expect(SuiteSource.read(off).first?.weaknesses.count == 2)
        let twice = "struct BTests { @Test func x() { #expect(a) } @Test func x() { #expect(a) } }"
        #expect(SuiteSource.read(twice).first?.weaknesses.count == 2)
    }
}

/// The members that have a test, by the definition they belong to.
private func testedMembers() throws -> [String: Set<String>] {
    let subjects = Set(try Seed.definitions().map(\.name))
    let suites = try SuiteSource.all().filter { subjects.contains($0.subject) }
    return Dictionary(grouping: suites, by: \.subject).mapValues { suites in
        Set(suites.flatMap { $0.tests.map(\.name) })
    }
}

private func gaps(
    _ definitions: [SeedDefinition],
    _ tested: [String: Set<String>],
    _ pending: [PendingMember]
) -> [String] {
    let members = Dictionary(
        uniqueKeysWithValues: definitions.map { ($0.name, Set($0.members.map(\.name))) }
    )
    let waiting = Dictionary(grouping: pending, by: \.definition).mapValues { entries in
        Set(entries.map(\.member))
    }
    var found: [String] = []
    for definition in definitions {
        for member in definition.members.map(\.name) {
            let isTested = tested[definition.name]?.contains(member) ?? false
            let isPending = waiting[definition.name]?.contains(member) ?? false
            if isTested, isPending {
                found.append("\(definition.name).\(member) is pending and tested")
            }
            if !isTested, !isPending {
                found.append("\(definition.name).\(member) is neither tested nor pending")
            }
        }
    }
    for (claims, word) in [(tested, "tested"), (waiting, "pending")] {
        for (name, claimed) in claims.sorted(by: { $0.key < $1.key }) {
            for member in claimed.subtracting(members[name] ?? []).sorted() {
                found.append("\(name).\(member) is \(word) and no member of the draft")
            }
        }
    }
    return found
}

/// Compares the table with the draft: one heading a definition, one row a member.
private func tableGaps(
    _ definitions: [SeedDefinition],
    _ pending: [PendingMember],
    _ text: String
) -> [String] {
    var rows: [String: [String: Bool]] = [:]
    var heading = ""
    for line in text.split(separator: "\n") {
        if line.hasPrefix("## ") { heading = String(line.dropFirst(3)) }
        guard let row = line.firstMatch(of: /^\| `([^`]+)` \| ([^|]*)\|/) else { continue }
        let isPending = row.2.trimmingCharacters(in: .whitespaces) == "pending"
        rows[heading, default: [:]][String(row.1)] = isPending
    }
    var found: [String] = []
    for definition in definitions {
        let members = definition.members.map(\.name)
        let own = rows[definition.name] ?? [:]
        for member in members {
            let name = "\(definition.name).\(member)"
            let isPending = pending.contains {
                $0.definition == definition.name && $0.member == member
            }
            switch own[member] {
            case nil: found.append("\(name) has no row")
            case true? where !isPending: found.append("\(name): only the table calls it pending")
            case false? where isPending: found.append("\(name): only the code calls it pending")
            default: continue
            }
        }
        for extra in Set(own.keys).subtracting(members).sorted() {
            found.append("\(definition.name).\(extra) is no member of the draft")
        }
    }
    return found
}
