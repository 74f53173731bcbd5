// `tlscerts check`: whether the certificates of a directory are still good for anything.

import ArgumentParser
import Foundation
import Sockets
import TLSTestKit
import Tooling

/// Looks at all certificates and keys of a directory.
struct CheckCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check expiry, keys and the order of chains in a directory.",
        usage: "tlscerts check DIR [options]",
        discussion: """
            Looks at every *.pem file. A key is held against the chain of the same name: \
            key.pem and chain.pem, a-key.pem and a-chain.pem, or a.pem. Exits with 1 when \
            something is amiss.

            EXAMPLES
              tlscerts check certs
              tlscerts check Certs --days 60 --format json
            """
    )

    @Argument(help: ArgumentHelp("The directory.", valueName: "dir"))
    var directory: String

    @Option(
        help: ArgumentHelp("Complain when fewer days than this are left.", valueName: "days")
    )
    var days = 30

    @OptionGroup var output: OutputOptions

    private struct Finding: Encodable {
        var id: String
        var text: String
    }

    private struct Entry: Encodable {
        var file: String
        var name: String?
        var notAfter: String?
        var daysLeft: Int?
        var findings: [Finding]

        enum CodingKeys: String, CodingKey {
            case file, name, findings
            case notAfter = "not_after"
            case daysLeft = "days_left"
        }
    }

    private struct Report: Encodable {
        var schema = "tlscerts/1"
        var command = "check"
        var files: [Entry]
        var exit: Int
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        let entries = try PEMFiles.all(in: directory).map { look(at: $0, now: surroundings.now) }
        guard !entries.isEmpty else {
            throw ToolFailure(code: "nothing_found", message: "no *.pem file in \(directory)")
        }
        let status: ExitStatus = entries.contains { !$0.findings.isEmpty } ? .findings : .clean
        guard output.format == .text else {
            let report = Report(files: entries, exit: status.rawValue)
            return ToolOutput(text: JSONLine.text(of: report), status: status)
        }
        let paint = output.painter(in: surroundings)
        let width = entries.map(\.file.count).max() ?? 0
        let lines = entries.map { entry in
            let left = entry.daysLeft.map { $0 < 0 ? "expired" : "\($0) days" } ?? "key"
            let facts = "\(entry.file.padded(to: width))  \(left.padded(to: 10))  "
            guard !entry.findings.isEmpty else { return facts + paint("ok", .green) }
            return facts + paint(entry.findings.map(\.text).joined(separator: "; "), .red)
        }
        return ToolOutput(text: lines.joined(separator: "\n") + "\n", status: status)
    }

    private func look(at path: String, now: UnixTime) -> Entry {
        let file = String(path.dropFirst(directory.count + 1))
        let text = FileManager.default.contents(atPath: path)
            .map { String(decoding: $0, as: UTF8.self) }
        if file == "key.pem" || file.hasSuffix("-key.pem"), text?.contains("PRIVATE KEY") == true {
            return Entry(file: file, findings: judge(key: path))
        }
        guard let chain = try? Certificate.read(file: path), let leaf = chain.first else {
            return Entry(
                file: file,
                findings: [Finding(id: "unreadable", text: "holds no certificate")]
            )
        }
        // The whole file is as good as what expires first.
        let end = chain.map(\.notAfter).min() ?? leaf.notAfter
        let left = Int((end.seconds - now.seconds).quotientAndRemainder(dividingBy: 86400).quotient)
        var findings: [Finding] = []
        if end < now {
            findings.append(Finding(id: "expired", text: "expired"))
        } else if left < days {
            findings.append(Finding(id: "expires-soon", text: "expires in \(left) days"))
        }
        if chain.contains(where: { $0.notBefore > now }) {
            findings.append(Finding(id: "not-yet-valid", text: "not yet valid"))
        }
        for (lower, upper) in zip(chain, chain.dropFirst()) where lower.issuer != upper.subject {
            findings.append(
                Finding(
                    id: "chain-order",
                    text: "\(upper.shortName) did not issue \(lower.shortName)"
                )
            )
        }
        return Entry(
            file: file,
            name: leaf.shortName,
            notAfter: "\(end)",
            daysLeft: end < now ? -1 - max(0, -left) : left,
            findings: findings
        )
    }

    private func judge(key path: String) -> [Finding] {
        let stem = String(path.dropLast("key.pem".count))
        let candidates = [stem + "chain.pem", String(stem.dropLast()) + ".pem", stem + "cert.pem"]
        guard let chain = candidates.first(where: { FileManager.default.fileExists(atPath: $0) })
        else { return [Finding(id: "key-alone", text: "no certificate of this name")] }
        do throws(SocketError) {
            _ = try TLSIdentity(certificateFile: chain, privateKeyFile: path)
            return []
        } catch {
            let id = error.tls?.code == .keyMismatch ? "key-mismatch" : "unreadable"
            return [Finding(id: id, text: error.tls?.description ?? error.description)]
        }
    }
}
