// A key in a PKCS #11 token: SoftHSM holds it, OpenSC's tool signs by it, and our listener has a public
// certificate and a closure only.

import Foundation
import Sockets
import TLSTestKit
import Testing

/// A token of SoftHSM's with one key that cannot be taken out of it.
private final class Token: Sendable {
    private static let (pin, label) = ("1234", "interop")
    private static let module = [
        "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm.so",
    ].first { FileManager.default.fileExists(atPath: $0) }

    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// Makes the token and puts the key of a certificate into it.
    func take(keyOf certificate: IssuedCertificate) async throws {
        let (path, files) = (directory.path, try certificate.write(to: directory.path))
        try FileManager.default.createDirectory(
            atPath: path + "/tokens",
            withIntermediateDirectories: false
        )
        try "directories.tokendir = \(path)/tokens\nlog.level = ERROR\n"
            .write(toFile: path + "/softhsm2.conf", atomically: true, encoding: .utf8)
        try await run(
            .softHSM,
            [
                "--init-token", "--free", "--label", Token.label, "--pin", Token.pin, "--so-pin",
                "0000",
            ]
        )
        let plain = path + "/plain.pem"
        try Data(certificate.privateKeyPEM.utf8).write(to: URL(fileURLWithPath: plain))
        try await run(
            .softHSM,
            [
                "--import", plain, "--token", Token.label, "--label", "server", "--id", "01",
                "--pin",
                Token.pin,
            ]
        )
        try FileManager.default.removeItem(atPath: plain)
        try FileManager.default.removeItem(atPath: files.key)
    }

    /// Has the token sign.
    func sign(_ request: SignatureRequest) async throws -> [UInt8] {
        let name = directory.path + "/" + UUID().uuidString
        let digest = try #require(request.digest)
        try Data(digest).write(to: URL(fileURLWithPath: name))
        var arguments = [
            "--module", try #require(Token.module), "--token-label", Token.label, "--login",
            "--pin",
            Token.pin, "--sign", "--id", "01", "--input-file", name, "--output-file", name + ".sig",
        ]
        let hash = try #require(request.scheme.hashName).replacing("-", with: "")
        if request.scheme.isPSS {
            arguments += [
                "--mechanism", "RSA-PKCS-PSS", "--hash-algorithm", hash, "--mgf", "MGF1-" + hash,
                "--salt-len", "\(digest.count)",
            ]
        } else {
            arguments += ["--mechanism", "ECDSA", "--signature-format", "openssl"]
        }
        try await run(.pkcs11Tool, arguments)
        return try Array(Data(contentsOf: URL(fileURLWithPath: name + ".sig")))
    }

    private func run(_ program: ForeignProgram, _ arguments: [String]) async throws {
        var environment = ForeignProcess.standardEnvironment
        environment["SOFTHSM2_CONF"] = directory.path + "/softhsm2.conf"
        try await ForeignProcess.run(program, arguments, environment: environment) { process in
            let state = try await process.wait()
            try #require(state.exitCode == 0, "\(program.name): \(state.text)")
        }
    }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("SoftHSM", .serialized, .needs(.softHSM, .pkcs11Tool, .openssl))
    struct TokenTests {
        @Test(
            "a listener proves itself by a key in a token",
            arguments: HandshakeRow.versions,
            [TestKey.p256, .rsa2048]
        )
        func listener(_ version: ProtocolVersion, _ key: TestKey) async throws {
            let authorities = try Authorities.shared.get()
            let row = HandshakeRow(version: version, key: key)
            let issued = try authorities.serverCertificate(row)
            let chain = try issued.chainDER.map { try Certificate(der: $0) }
            let token = try Token()
            try await token.take(keyOf: issued)
            let identity = try TLSIdentity(chain: chain) { try await token.sign($0) }
            // What signs PKCS #1 padding would have to be told to hash, too: PSS in both versions.
            let options = SocketListenerInit(
                type: .tls,
                local: .init("127.0.0.1", port: 0),
                identity: identity
            ) { $0.signatureAlgorithms = ["ECDSA+SHA256", "RSA-PSS+SHA256"] }
            let directory = try TemporaryDirectory()
            let files = try issued.write(to: directory.path)
            try await withInteropListener(options, piece: 1 << 20) { address, outcomes in
                let settings = ClientSettings(
                    directory: directory.path,
                    address: address,
                    root: files.root,
                    version: version
                )
                let result = try await OpenSSLClient().send(.get("/facts"), settings)
                #expect(result.exitCode == 0, "\(result.text)")
                for await outcome in outcomes {
                    guard case .served = outcome else {
                        Issue.record("\(outcome); the client said \(result.text)")
                        break
                    }
                    break
                }
            }
            RowTally.count("openssl s_client", .listener, .externalKeys)
        }
    }
}
