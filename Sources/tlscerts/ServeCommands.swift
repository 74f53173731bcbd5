// `tlscerts zoo` and `tlscerts ocsp`: servers that run until they are told to end.

import ArgumentParser
import Foundation
import Sockets
import TLSTestKit
import TLSTestServers
import Tooling

/// Opens a zoo of all faults.
struct ZooCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "zoo",
        abstract: "Serve every fault as a host of its own, on one port.",
        usage: "tlscerts zoo [options]",
        discussion: """
            Listens on 127.0.0.1. Every fault is a servername, expired.zoo.test; zoo.test \
            gives an index. Ends at Ctrl-C or SIGTERM.

            EXAMPLES
              tlscerts zoo --port 8443 -o zoo
              curl --connect-to ::127.0.0.1:8443 --cacert zoo/root.pem https://zoo.test/
              curl --connect-to ::127.0.0.1:8443 --cacert zoo/root.pem \\
                   https://expired.zoo.test/
            """
    )

    @Option(help: ArgumentHelp("Listen on this port; 0 lets the system choose.", valueName: "port"))
    var port: UInt16 = 8443

    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: ArgumentHelp(
            "Write root.pem there. (default: a temporary directory)",
            valueName: "dir"
        )
    )
    var directory: String?

    @OptionGroup var output: OutputOptions

    private struct Report: Encodable {
        struct Entry: Encodable {
            var name: String
            var target: String
            var reachable: Bool
        }

        var schema = "tlscerts/1"
        var command = "zoo"
        var address: String
        var port: Int
        var ca: String
        var hosts: [Entry]
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        let temporary = try TemporaryDirectory(prefix: "tlscerts-zoo-")
        let path = (directory ?? temporary.path) + "/root.pem"
        let local = SocketAddress("127.0.0.1", port: port)
        let format = output.format
        let paint = output.painter(in: surroundings)
        try await CertificateZoo.run(at: local) { zoo in
            do {
                let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
                try FileManager.default.createDirectory(
                    at: folder,
                    withIntermediateDirectories: true
                )
                try Data(zoo.authority.certificatePEM.utf8).write(to: URL(fileURLWithPath: path))
            } catch {
                throw ToolFailure(code: "file_system", message: "\(path) cannot be written")
            }
            let report = Report(
                address: "\(zoo.address)",
                port: Int(zoo.port),
                ca: path,
                hosts: zoo.hosts.map {
                    .init(name: $0.name, target: $0.target, reachable: $0.isReachable)
                }
            )
            let text = """
                \(paint("zoo", .bold))  https://\(CertificateZoo.domain)/ on \(zoo.address), \
                \(zoo.hosts.count) hosts
                \(paint("ca", .bold))   \(path)

                  curl --connect-to ::\(zoo.address) --cacert \(path) https://zoo.test/
                  curl --connect-to ::\(zoo.address) --cacert \(path) https://expired.zoo.test/

                Ctrl-C ends it.

                """
            surroundings.announce(format != .text ? JSONLine.text(of: report) : text)
            await surroundings.waitForEnd()
        }
        return ToolOutput(status: .clean)
    }
}

/// Answers OCSP requests for an authority on disk.
struct OCSPCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "ocsp",
        abstract: "Answer OCSP requests for the authority of a directory.",
        usage: "tlscerts ocsp DIR [options]",
        discussion: """
            Listens on 127.0.0.1. Certificates that stand in the directory are good, those \
            given with --revoke revoked, others unknown. With --fault it never gives an \
            answer that counts: \(OCSPFault.allCases.map(\.rawValue).joined(separator: ", ")). \
            Ends at Ctrl-C or SIGTERM.

            EXAMPLES
              tlscerts ocsp certs --port 8888 --revoke certs/a-chain.pem
              tlscerts ocsp certs --port 8888 --fault slow
              openssl ocsp -issuer certs/ca.pem -cert certs/chain.pem \\
                  -url http://127.0.0.1:8888 -CAfile certs/ca.pem
            """
    )

    @Argument(help: ArgumentHelp("Where ca.pem and ca-key.pem are.", valueName: "dir"))
    var directory: String

    @Option(help: ArgumentHelp("Listen on this port; 0 lets the system choose.", valueName: "port"))
    var port: UInt16 = 8888

    @Option(help: ArgumentHelp("Say that this certificate is revoked.", valueName: "file"))
    var revoke: [String] = []

    @Option(
        help: ArgumentHelp("Answer wrongly in this way, or not at all.", valueName: "name")
    )
    var fault: OCSPFault?

    @OptionGroup var output: OutputOptions

    private struct Report: Encodable {
        var schema = "tlscerts/1"
        var command = "ocsp"
        var url: String
        var port: Int
        var good: Int
        var revoked: Int
        var fault: String?
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        let authority = try TestCA(in: directory)
        let issuer = try Certificate(der: authority.certificateDER)
        var good: [[UInt8]] = []
        for file in try PEMFiles.all(in: directory) {
            guard let leaf = try? Certificate.read(file: file).first,
                leaf.issuer == issuer.subject, !leaf.isSelfSigned
            else { continue }
            good.append(leaf.serialNumber)
        }
        var revoked: [[UInt8]] = []
        for file in revoke { revoked.append(try Certificate.read(file: file)[0].serialNumber) }
        good.removeAll { revoked.contains($0) }
        let (known, gone) = (good, revoked)
        let format = output.format
        let local = SocketAddress("127.0.0.1", port: port)
        let fault = fault
        try await OCSPResponder.run(for: authority, at: local) { responder in
            if let fault { responder.behaviour = fault.behaviour }
            for serial in known { responder[serial: serial.asInteger] = .good }
            for serial in gone { responder[serial: serial.asInteger] = .revoked() }
            let report = Report(
                url: responder.url,
                port: Int(responder.port),
                good: known.count,
                revoked: gone.count,
                fault: fault?.rawValue
            )
            let wrong = fault.map { ", always wrong: \($0.rawValue)" } ?? ""
            let text = """
                ocsp  \(responder.url), \(known.count) good, \(gone.count) revoked\(wrong)
                Ctrl-C ends it.

                """
            surroundings.announce(format != .text ? JSONLine.text(of: report) : text)
            await surroundings.waitForEnd()
        }
        return ToolOutput(status: .clean)
    }
}

/// How a responder is wrong whatever it is asked.
enum OCSPFault: String, CaseIterable, ExpressibleByArgument {
    case slow, silent
    case httpError = "http-error"
    case webPage = "web-page"
    case cut
    case tryLater = "try-later"
    case unauthorized
    case internalError = "internal-error"
    case stale, stranger, garbage

    var behaviour: OCSPResponder.Behaviour {
        switch self {
        case .slow: OCSPFetchFault.slow.behaviour
        case .silent: OCSPFetchFault.silent.behaviour
        case .httpError: OCSPFetchFault.httpError.behaviour
        case .webPage: OCSPFetchFault.webPage.behaviour
        case .cut: OCSPFetchFault.cut.behaviour
        case .tryLater: .answer(.tryLater)
        case .unauthorized: .answer(.unauthorized)
        case .internalError: .answer(.internalError)
        case .stale:
            .bent { recipe in
                for index in recipe.singles.indices {
                    recipe.singles[index].thisUpdate = .relative(seconds: -172_800)
                    recipe.singles[index].nextUpdate = .relative(seconds: -86_400)
                }
            }
        case .stranger: .bent { $0.responder = .stranger }
        case .garbage: .answer(.garbage)
        }
    }
}

extension [UInt8] {
    /// A magnitude as the contents of a DER INTEGER: no zeros in front but the sign's.
    fileprivate var asInteger: [UInt8] {
        let digits = Array(drop { $0 == 0 })
        return digits.first.map { $0 < 0x80 } ?? false ? digits : [0] + digits
    }
}

/// The PEM files of a directory.
enum PEMFiles {
    /// The paths of all `*.pem` files, sorted.
    static func all(in directory: String) throws -> [String] {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: directory) else {
            throw ToolFailure(code: "file_system", message: "\(directory) cannot be read")
        }
        return names.filter { $0.hasSuffix(".pem") }.sorted().map { "\(directory)/\($0)" }
    }
}
