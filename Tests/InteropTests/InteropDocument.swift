// docs/INTEROP.md: written by `Scripts/interop.sh --table`, which sets SOCKETS_WRITE_INTEROP, and
// held against the suite by every run. Only the versions in its last part are those of one machine.

import Foundation
import Testing

enum InteropDocument {
    static let path =
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().path
        + "/../../docs/INTEROP.md"

    private static let lastPart = "## Versions\n"

    /// Everything that does not depend on a machine.
    static var text: String {
        let features = InteropFeature.allCases
        var lines = [
            "# Interoperability", "",
            "Written by `Scripts/interop.sh --table`. The numbers are rows of `InteropTests`, each a",
            "connection with a program of others on the loopback interface, and each a failure when it",
            "is not as said; a run whose rows are not these fails too. Every program speaks TLS 1.2 and",
            "1.3, those of the first column with ECDSA P-256, RSA, RSA-PSS and Ed25519 on either side.",
            "",
            "| | Peer | " + features.map(\.rawValue).joined(separator: " | ") + " | Sum |",
            String(repeating: "|---", count: features.count + 3) + "|",
        ]
        for line in InteropLine.all {
            let cells = features.map { line.counts[$0].map(String.init) ?? "" }
            let sum = line.counts.values.reduce(0, +)
            let words = ["\(line.side)", line.peer] + cells + ["\(sum)"]
            lines.append("| " + words.joined(separator: " | ") + " |")
        }
        lines += [
            "",
            "- *Version, key, ALPN*: each version with each key, and application protocols that agree,",
            "  are missing on one side, or have nothing in common.",
            "- *Bad certificates*: a wrong name, an unknown authority, an expired one; the alert is heard.",
            "- *Client certificates*: demanded and given, missing or a stranger's; asked for and given,",
            "  missing or a stranger's.",
            "- *Half-close*: data behind our end, and data of ours behind the peer's.",
            "- *Fingerprints*: the right one lets a stranger in, a wrong one keeps a good one out.",
            "- *Finite fields*: TLS 1.2 over 2,048 bits is taken, less than `minDHSize` or the security",
            "  level refused.",
            "- *Resumption*: the second connection resumes the first, with client certificates or",
            "  without; sessions of OpenSSL's own form count if their maker had trusted the server.",
            "- *Staples*: a good OCSP response is taken as evidence, one that says revoked refused with",
            "  bad_certificate_status_response; ours is taken by the client, which misses it where we",
            "  staple none.",
            "- *Virtual hosts*: the one that a client names, by its name, a wildcard or a callback; a name",
            "  that nobody has is refused with unrecognized_name.",
            "- *Preshared keys*: DHE and ECDHE of TLS 1.2, and TLS 1.3, with the same key and another.",
            "- *Key log*: a capture shows its data with the log, and nothing without.",
            "- *Keying material*: both sides derive the same; with Python tls-unique is compared.",
            "- *New keys*: ours are taken, and the peer's come when it is asked for them.",
            "- *Late certificates*: the client's comes behind the handshake, or it is refused.",
            "- *Early data*: of a resumed session it is taken, and of the same session again not.",
            "- *Keys elsewhere*: the key of our side is not in its process; a closure signs.",
            "- *STARTTLS*: a conversation in the clear that goes over to TLS, one row a protocol and version:",
            "  SMTP, LMTP, POP3, IMAP, FTP, NNTP, ManageSieve, PostgreSQL and MySQL.",
            "- *Cuts*: TCP ends without close_notify; our side reports `.truncated`.",
            "", "## What differs", "",
        ]
        lines += InteropLine.differences.flatMap { wrapped($0) }
        return lines.joined(separator: "\n") + "\n\n"
    }

    /// A point of a list, in lines of at most 100 characters.
    private static func wrapped(_ text: String) -> [String] {
        var lines = ["-"]
        for word in text.split(separator: " ") {
            let line = lines[lines.count - 1]
            if line.count + word.count < 100 {
                lines[lines.count - 1] = line + " " + word
            } else {
                lines.append("  " + word)
            }
        }
        return lines
    }

    /// What is committed, up to the versions.
    static func committed() throws -> String {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        return text.components(separatedBy: lastPart)[0]
    }

    static func write() async throws {
        var lines = [lastPart, "| Program | Version |", "|---|---|"]
        for (program, arguments) in versionCommands {
            let state = try await ForeignProcess.run(program, arguments) { try await $0.wait() }
            let line = state.text.split(separator: "\n").first.map(String.init) ?? ""
            lines.append("| \(program.name) | \(line) |")
        }
        try (text + lines.joined(separator: "\n") + "\n")
            .write(toFile: path, atomically: true, encoding: .utf8)
    }

    private static let versionCommands: [(ForeignProgram, [String])] = [
        (.openssl, ["version"]), (.nginx, ["-v"]), (.haproxy, ["-v"]), (.curl, ["--version"]),
        (.gnutlsServ, ["--version"]), (.gnutlsClient, ["--version"]),
        (.node, ["-p", "`${process.version}, OpenSSL ${process.versions.openssl}`"]),
        (
            .python,
            ["-c", "import platform, ssl; print(platform.python_version(), ssl.OPENSSL_VERSION)"]
        ),
        (.java, ["-version"]), (.exim, ["--version"]), (.postgres, ["--version"]),
        (.psql, ["--version"]),
    ]
}

extension InteropTests {
    @Suite("the table") struct DocumentTests {
        @Test("docs/INTEROP.md has the rows of the suite")
        func rows() async throws {
            if ProcessInfo.processInfo.environment["SOCKETS_WRITE_INTEROP"] != nil {
                try await InteropDocument.write()
            }
            let isSame = try InteropDocument.committed() == InteropDocument.text
            #expect(isSame, "Scripts/interop.sh --table writes it")
        }
    }
}
