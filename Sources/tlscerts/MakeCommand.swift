// `tlscerts make`: a certificate on disk, of an authority that stays there, or one with a fault.

public import ArgumentParser
import Foundation
public import TLSTestKit
import Tooling

extension TestKey: ExpressibleByArgument {
    /// The names that `--key` knows: those of the cases with hyphens, and two short ones.
    public init?(argument: String) {
        switch argument {
        case "rsa": self = .rsa2048
        case "rsa-pss": self = .rsaPSS2048
        default:
            guard let key = TestKey.allCases.first(where: { $0.word == argument }) else {
                return nil
            }
            self = key
        }
    }

    /// The name on the command line.
    var word: String { self == .rsaPSS2048 ? "rsa-pss2048" : rawValue }

    /// Whether making one can take seconds.
    var isSlow: Bool { ![.p256, .p384, .p192, .ed25519].contains(self) }

    /// The names that help tells.
    public static var allValueStrings: [String] { allCases.map(\.word) }

    /// What help says of them.
    public static var allValueDescriptions: [String: String] {
        [
            "p256": "ECDSA on P-256",
            "p384": "ECDSA on P-384",
            "ed25519": "Ed25519",
            "rsa2048": "RSA; also as rsa",
            "rsa3072": "RSA",
            "rsa4096": "RSA; takes seconds to make",
            "rsa-pss2048": "RSA for PSS alone; also as rsa-pss",
            "rsa1024": "RSA too small for sound clients",
            "rsa512": "RSA too small for TLS 1.3",
            "p192": "ECDSA on a curve that TLS has not",
            "dsa2048": "DSA, which TLS 1.3 has not",
        ]
    }
}

/// Makes a certificate with its key, chain and root.
struct MakeCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "make",
        abstract: "Make a certificate, its key and its authority.",
        usage: "tlscerts make NAME ... -o DIR [options]",
        discussion: """
            Writes chain.pem, key.pem and root.pem. The authority is ca.pem and ca-key.pem \
            in the same directory; it is made when it is not there. It may issue only for \
            .test, localhost and the loopback addresses unless it was made with --any-name. \
            Files of these names are overwritten, those of the authority are not.

            With --fault the certificate comes from an authority of its own, whose key is \
            not written: root.pem is what a client, or with --client a server, has to trust.

            EXAMPLES
              tlscerts make localhost 127.0.0.1 ::1 -o certs
              tlscerts make a.test '*.a.test' -o certs --name a --key rsa2048 --days 90
              tlscerts make alice --client --p12 -o certs --name alice
              tlscerts make a.test --fault expired -o bad
              tlscerts make mallory --client --fault wrong-eku -o bad --name mallory
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

    @Option(
        help: ArgumentHelp(
            "The kind of key. (default: p256)",
            valueName: "kind"
        )
    )
    var key: TestKey?

    @Option(
        help: ArgumentHelp("Days for which it is valid. (default: 90)", valueName: "days")
    )
    var days: Int?

    @Flag(help: "Make a client's certificate.")
    var client = false

    @Flag(help: "Write a PKCS #12 file too; its passphrase is \"test\".")
    var p12 = false

    @Option(help: ArgumentHelp("Name this OCSP responder.", valueName: "url"))
    var ocsp: String?

    @Flag(help: "Let a new authority issue for any name.")
    var anyName = false

    @OptionGroup var output: OutputOptions

    /// Three times what ``CheckCommand`` complains about, so that what is new is good.
    private var defaultDays: Int { 90 }

    func validate() throws {
        guard !names.isEmpty else { throw ValidationError("A name is missing.") }
        guard !names.contains(where: { $0.isEmpty || $0.contains(where: \.isWhitespace) }) else {
            throw ValidationError("A name is empty or holds a space.")
        }
        guard (1...3650).contains(days ?? defaultDays) else {
            throw ValidationError("--days is 1 to 3650.")
        }
        guard !client || names.count == 1 else {
            throw ValidationError("--client takes one name.")
        }
        guard !name.contains("/") else { throw ValidationError("--name holds a slash.") }
        guard let fault else { return }
        guard names.count == 1 else { throw ValidationError("--fault takes one name.") }
        guard ocsp == nil, key == nil, days == nil, !anyName else {
            throw ValidationError(
                "--fault decides about the key, the days and the authority by itself."
            )
        }
        guard client ? ClientFault.named(fault) != nil : CertificateFault.named(fault) != nil
        else {
            throw ValidationError("There is no such fault as '\(fault)'; list names them.")
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
        if let key, key.isSlow { surroundings.note("tlscerts: making an RSA or DSA key\n") }
        if let fault { return told(try make(fault), surroundings) }
        let certificate = try issue(from: try authority(surroundings))
        return told(try write(certificate), surroundings)
    }

    /// A certificate with something wrong, and what has to be trusted to see just that.
    private func make(_ name: String) throws -> Report {
        let authority = try TestCA()
        if client, let fault = ClientFault.named(name),
            let certificate = try fault.certificate(under: authority, for: names[0])
        {
            var report = try write(certificate, trusting: authority.certificatePEM)
            (report.fault, report.expected) = (fault.name, "\(fault.verdict)")
            return report
        }
        guard let fault = CertificateFault.named(name) else {
            throw ToolFailure(code: "wrong_usage", message: "there is no such fault as '\(name)'")
        }
        let scenario = try fault.scenario(under: authority, host: names[0])
        var report = try write(scenario.certificate, trusting: scenario.anchorsPEM)
        if let staple = scenario.staple {
            report.staple = try save(staple.der, "staple.der")
        }
        (report.fault, report.expected) = (fault.name, "\(fault.verdict)")
        report.host = scenario.host
        return report
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
            ? CertificateRecipe.client(names[0], key: key ?? .p256)
            : CertificateRecipe.server(names.map { SubjectName($0) }, key: key ?? .p256)
        recipe.validity = .days(-1...(days ?? defaultDays))
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

    /// Writes a certificate; what is trusted is its root unless something else is given.
    private func write(
        _ certificate: IssuedCertificate,
        trusting anchors: String? = nil
    ) throws -> Report {
        let files = try certificate.write(to: directory, name: name)
        var report = Report(chain: files.chain, key: files.key, root: files.root)
        if let anchors {
            report.root = try save(Array(anchors.utf8), "root.pem")
        }
        if p12 {
            let archive = try certificate.pkcs12(passphrase: "test", friendlyName: names[0])
            report.p12 = try save(archive, "identity.p12")
        }
        return report
    }

    /// Writes a file whose name begins as all of this certificate do.
    private func save(_ bytes: [UInt8], _ file: String) throws -> String {
        let path = name.isEmpty ? "\(directory)/\(file)" : "\(directory)/\(name)-\(file)"
        do {
            try Data(bytes).write(to: URL(fileURLWithPath: path))
        } catch {
            throw ToolFailure(code: "file_system", message: "\(path) cannot be written")
        }
        return path
    }

    private struct Report: Encodable {
        var schema = "tlscerts/1"
        var command = "make"
        var chain: String
        var key: String
        var root: String
        var p12: String?
        var staple: String?
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
            ("PKCS #12", report.p12), ("Staple", report.staple), ("Fault", report.fault),
            ("Expected", report.expected),
            ("Host", report.host),
        ]
        let lines = rows.compactMap { label, value in
            value.map { "  \(paint(label.padded(to: 10), .dim)) \($0)" }
        }
        return ToolOutput(text: lines.joined(separator: "\n") + "\n", status: .clean)
    }
}

/// A client's faults that can be written: not the one that comes without a certificate.
enum ClientFault {
    /// The faults.
    static let all = ClientCertificateFault.allCases.filter { $0 != .none }

    /// The fault of a name as the catalogue or the zoo writes it.
    static func named(_ text: String) -> ClientCertificateFault? {
        all.first { $0.name.isSameFault(as: text) }
    }
}

extension CertificateFault {
    /// The fault of a name as the catalogue or the zoo writes it.
    static func named(_ text: String) -> CertificateFault? {
        allCases.first { $0.name.isSameFault(as: text) }
    }
}

extension String {
    /// Whether two texts name the same fault: hyphens and case are the zoo's affair.
    fileprivate func isSameFault(as other: String) -> Bool {
        func plain(_ name: String) -> String { name.lowercased().filter { $0 != "-" } }
        return plain(self) == plain(other)
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
        do throws(TestKitError) {
            try self.init(certificatePEM: Array(certificate), privateKeyPEM: Array(key))
        } catch {
            throw ToolFailure(
                code: "unusable_authority",
                message: "\(files.certificate) and \(files.key) are no authority: \(error)"
            )
        }
    }
}
