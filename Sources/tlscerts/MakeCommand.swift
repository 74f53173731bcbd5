// `tlscerts make`: a certificate on disk, of an authority that stays there, or one with a fault.

public import ArgumentParser
import Foundation
public import TLSTestKit
import Tooling

extension TestKey: ExpressibleByArgument {}

/// Makes a certificate with its key, chain and root.
struct MakeCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "make",
        abstract: "Make a certificate, its key and its authority.",
        discussion: """
            Writes chain.pem, key.pem and root.pem. The authority is ca.pem and ca-key.pem \
            in the same directory; it is made when it is not there. It may issue only for \
            .test, localhost and the loopback addresses unless it was made with --any-name.

            With --fault the certificate comes from an authority of its own, whose key is \
            not written.

            EXAMPLES
              tlscerts make localhost 127.0.0.1 ::1 -o certs
              tlscerts make a.test '*.a.test' -o certs --name a --key rsa2048 --days 90
              tlscerts make alice --client --p12 -o certs --name alice
              tlscerts make a.test --fault expired -o bad
            """
    )

    @Argument(help: "DNS names and IP addresses; with --client the client's name.")
    var names: [String]

    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: ArgumentHelp("Write into this directory.", valueName: "dir")
    )
    var directory: String

    @Option(
        help: ArgumentHelp("Begin file names with this and a hyphen.", valueName: "text")
    )
    var name = ""

    @Option(help: ArgumentHelp("Make it wrong in this way; see list.", valueName: "name"))
    var fault: String?

    @Option(help: "The kind of key.")
    var key: TestKey = .p256

    @Option(help: ArgumentHelp("Days for which it is valid.", valueName: "days"))
    var days = 30

    @Flag(help: "Make a client's certificate.")
    var client = false

    @Flag(help: "Write a PKCS #12 file too; its passphrase is \"test\".")
    var p12 = false

    @Option(help: ArgumentHelp("Name this OCSP responder.", valueName: "url"))
    var ocsp: String?

    @Flag(help: "Let a new authority issue for any name.")
    var anyName = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard !names.isEmpty else { throw ValidationError("A name is missing.") }
        guard (1...3650).contains(days) else { throw ValidationError("--days is 1 to 3650.") }
        guard !client || names.count == 1 else {
            throw ValidationError("--client takes one name.")
        }
        guard !name.contains("/") else { throw ValidationError("--name holds a slash.") }
        guard let fault else { return }
        guard CertificateFault.named(fault) != nil else {
            throw ValidationError("There is no fault '\(fault)'; list names them.")
        }
        guard !client, names.count == 1, ocsp == nil else {
            throw ValidationError("--fault takes one name, and neither --client nor --ocsp.")
        }
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        do {
            try FileManager.default.createDirectory(
                atPath: directory,
                withIntermediateDirectories: true
            )
        } catch {
            throw ToolFailure(code: "file_system", message: "\(directory) cannot be made")
        }
        if let fault = fault.flatMap(CertificateFault.named) {
            let scenario = try fault.scenario(
                under: TestCA(),
                host: names[0]
            )
            var report = try write(scenario.certificate)
            report.fault = fault.name
            report.expected = "\(fault.verdict)"
            report.host = scenario.host
            return told(report, surroundings)
        }
        let certificate = try issue(from: try authority(surroundings))
        return told(try write(certificate), surroundings)
    }

    /// The directory's authority, which is made when it is not there.
    private func authority(_ surroundings: ToolSurroundings) throws -> TestCA {
        let files = AuthorityFiles(in: directory)
        if FileManager.default.fileExists(atPath: files.certificate) {
            return try TestCA(in: directory)
        }
        var recipe = CertificateRecipe.authority("Test Root")
        recipe.validity = .days(-1...3650)
        if !anyName { recipe.extraExtensions.append(try .loopbackOnly) }
        let authority = try TestCA(recipe: recipe)
        _ = try authority.write(to: directory)
        return authority
    }

    private func issue(from authority: TestCA) throws -> IssuedCertificate {
        var recipe =
            client
            ? CertificateRecipe.client(names[0], key: key)
            : CertificateRecipe.server(names.map { SubjectName($0) }, key: key)
        recipe.validity = .days(-1...days)
        if let ocsp {
            recipe.extraExtensions.append(try .authorityInformationAccess(ocsp: [ocsp]))
        }
        let certificate = try authority.issue(recipe)
        if !client {
            var verification = ChainVerification(
                anchors: [authority.certificateDER],
                unixSeconds: TestCA.wallClock()
            )
            verification.purpose = .server
            let verdict = try verification.verify(certificate.chainDER)
            guard verdict.code == 0 else {
                throw ToolFailure(
                    code: "authority_refused",
                    message: "the authority in \(directory) may not issue this: \(verdict); "
                        + "for other names make one with --any-name in another directory"
                )
            }
        }
        return certificate
    }

    private func write(_ certificate: IssuedCertificate) throws -> Report {
        let files = try certificate.write(to: directory, name: name)
        var report = Report(chain: files.chain, key: files.key, root: files.root)
        if p12 {
            let path = String(files.chain.dropLast("chain.pem".count)) + "identity.p12"
            let archive = try certificate.pkcs12(passphrase: "test", friendlyName: names[0])
            do {
                try Data(archive).write(to: URL(fileURLWithPath: path))
            } catch {
                throw ToolFailure(code: "file_system", message: "\(path) cannot be written")
            }
            report.p12 = path
        }
        return report
    }

    private struct Report: Encodable {
        var schema = "tlscerts/1"
        var command = "make"
        var chain: String
        var key: String
        var root: String
        var p12: String?
        var fault: String?
        var expected: String?
        var host: String?
        var exit = 0
    }

    private func told(_ report: Report, _ surroundings: ToolSurroundings) -> ToolOutput {
        guard output.format == .text else {
            return ToolOutput(text: JSONLine.text(of: report), status: .clean)
        }
        let paint = output.painter(in: surroundings)
        let rows: [(String, String?)] = [
            ("Chain", report.chain), ("Key", report.key), ("Root", report.root),
            ("PKCS #12", report.p12), ("Fault", report.fault), ("Expected", report.expected),
            ("Host", report.host),
        ]
        let lines = rows.compactMap { label, value in
            value.map { "  \(paint(label.padded(to: 10), .dim)) \($0)" }
        }
        return ToolOutput(text: lines.joined(separator: "\n") + "\n", status: .clean)
    }
}

extension CertificateFault {
    /// The fault of a name as the catalogue or the zoo writes it.
    static func named(_ text: String) -> CertificateFault? {
        func plain(_ name: String) -> String { name.lowercased().filter { $0 != "-" } }
        return allCases.first { plain($0.name) == plain(text) }
    }
}

extension TestCA {
    /// Reads the authority that stands in a directory.
    init(in directory: String) throws {
        let files = AuthorityFiles(in: directory)
        guard let certificate = FileManager.default.contents(atPath: files.certificate),
            let key = FileManager.default.contents(atPath: files.key)
        else {
            throw ToolFailure(
                code: "file_system",
                message: "\(files.certificate) or \(files.key) cannot be read"
            )
        }
        try self.init(certificatePEM: Array(certificate), privateKeyPEM: Array(key))
    }
}
