import Foundation
import Sockets
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection
@testable import tlsinspect

@Suite
struct ReportFormTests {
    @Test(
        "base64 is the one of RFC 4648 §10",
        arguments: [
            ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
        ]
    )
    func base64Vectors(_ text: String, _ encoded: String) {
        #expect(base64(Array(text.utf8)) == encoded)
    }

    @Test("base64 agrees with Foundation's for every byte")
    func base64AgreesWithFoundation() {
        let bytes = [UInt8](0...255)
        #expect(base64(bytes) == Data(bytes).base64EncodedString())
    }

    @Test(
        "codes of errors are written in snake case",
        arguments: [
            ("serverHello", "server_hello"), ("notTLS", "not_tls"), ("badRecord", "bad_record"),
            ("open", "open"), ("invalidTLSConfiguration", "invalid_tlsconfiguration"),
        ]
    )
    func snakeCases(_ name: String, _ written: String) {
        #expect(snakeCase(name) == written)
    }

    @Test(
        "signature algorithms have one form",
        arguments: [
            ("ecdsa-with-SHA256", "ecdsa-sha256"), ("sha256WithRSAEncryption", "rsa-sha256"),
            ("sha1WithRSAEncryption", "rsa-sha1"), ("md5WithRSAEncryption", "rsa-md5"),
            ("rsassaPss", "rsa-pss"), ("ED25519", "ed25519"), ("ecdsa-with-SHA1", "ecdsa-sha1"),
        ]
    )
    func signatures(_ name: String, _ form: String) {
        #expect(signatureName(name) == form)
    }

    @Test(
        "days are counted whole and downwards",
        arguments: [(0, 0), (86399, 0), (86400, 1), (-1, -1), (-86400, -1), (-86401, -2)]
    )
    func dayCounts(_ seconds: Int64, _ days: Int) {
        let now = UnixTime(seconds: 1000)
        #expect(wholeDays(from: now, to: UnixTime(seconds: 1000 + seconds)) == days)
    }

    @Test("severities are ordered as they weigh")
    func severities() {
        #expect(Severity.allCases == [.info, .note, .warn, .bad])
        #expect(Severity.allCases == Severity.allCases.sorted())
    }

    @Test("a key whose value is nil is written as null")
    func nulls() throws {
        let report = InspectionReport(command: "tlsinspect", result: .invalid, exit: .usage)
        let json = try JSONValue(parsing: JSONLine.text(of: report))
        #expect(json["target"] == .null)
        #expect(json["error"] == .null)
        #expect(json["timing_ms"]?["dns"] == .null)
    }
}

/// The validator must find what it is there for.
@Suite
struct JSONSchemaTests {
    @Test("the outcomes, exit codes and severities of the schema are those of the library")
    func enumerations() throws {
        let root = try JSONSchema.inspector().root
        let properties = root["$defs"]?["report"]?["properties"]
        #expect(
            properties?["result"]?["enum"]?.array?.compactMap(\.string)
                == InspectionReport.Outcome.allCases.map(\.rawValue)
        )
        #expect(
            properties?["exit"]?["enum"]?.array?.compactMap(\.number).map { Int($0) }
                == ExitStatus.allCases.map(\.rawValue)
        )
        #expect(
            root["$defs"]?["finding"]?["properties"]?["severity"]?["enum"]?.array?
                .compactMap(\.string) == Severity.allCases.map(\.rawValue)
        )
        // What is said in front of TLS is not a handshake's.
        var phases = HandshakePhase.allCases.map { snakeCase($0.rawValue) }
        phases.insert("starttls", at: 2)
        #expect(
            root["$defs"]?["error"]?["properties"]?["phase"]?["enum"]?.array?
                .compactMap(\.string) == phases
        )
    }

    @Test(
        "a report with a fault is not valid",
        arguments: [
            ("schema", "\"tlsinspect/2\""), ("exit", "6"), ("exit", "\"0\""),
            ("result", "\"fine\""),
            ("chain", "null"), ("chain", "[{}]"), ("findings", "[{\"id\":\"X\"}]"),
            ("target", "{\"name\":\"a\",\"address\":null,\"port\":65536,\"starttls\":null}"),
            ("surprise", "1"), ("timing_ms", "{}"), ("error", "{\"code\":\"Not Snake\"}"),
        ]
    )
    func faulty(_ key: String, _ value: String) throws {
        let report = InspectionReport(command: "probe", result: .refused, exit: .noConnection)
        var json = try JSONValue(parsing: JSONLine.text(of: report))
        let schema = try JSONSchema.inspector()
        #expect(schema.faults(of: json) == [])
        json[key] = try JSONValue(parsing: value)
        #expect(schema.faults(of: json) != [])
    }

    @Test("a report without one of its keys is not valid")
    func missingKeys() throws {
        let report = InspectionReport(command: "probe", result: .refused, exit: .noConnection)
        let json = try JSONValue(parsing: JSONLine.text(of: report))
        let schema = try JSONSchema.inspector()
        let keys = try #require(json.object).keys
        #expect(keys.count == 16)
        for key in keys {
            var broken = json
            broken[key] = nil
            let faults = schema.faults(of: broken)
            #expect(faults == ["$: fits no branch of anyOf", "$: \(key) is missing"])
        }
    }

    @Test("a keyword that the validator does not know is a fault")
    func unknownKeyword() throws {
        let schema = JSONSchema(root: try JSONValue(parsing: "{\"maxLength\":1}"))
        #expect(schema.faults(of: "a") != [])
    }
}
