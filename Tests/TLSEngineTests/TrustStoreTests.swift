// The system's trust store is read once a process and depends on its environment: each test is a
// process of its own.

import Glibc
import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct TrustStoreTests {
    @Test("a system without a bundle is an error of its own, and says what to do")
    func empty() async {
        await #expect(processExitsWith: .success) {
            useBundle("/nonexistent")
            let error = #expect(throws: TLSError(.emptyTrustStore)) {
                try TLSContext(role: .client)
            }
            #expect(error?.hint == "Install ca-certificates, set SSL_CERT_FILE, or give anchors")
        }
    }

    @Test("the bundle that SSL_CERT_FILE names is trusted, and nothing else")
    func bundle() async {
        await #expect(processExitsWith: .success) {
            let (ca, strangers) = try (TestCA(), TestCA())
            let directory = try TemporaryDirectory()
            let server = try ca.issue("localhost")
            useBundle(try server.write(to: directory.path).root)
            let client = try TLSContext(role: .client)
            for (issued, isTrusted) in try [(server, true), (strangers.issue("localhost"), false)] {
                let context = try TLSContext(role: .server, identities: [TLSIdentity(issued)])
                let pair = try EnginePair(client: client, server: context)
                pair.settle()
                #expect(pair.facts(.client).report.isPeerTrusted == isTrusted)
            }
        }
    }

    @Test("a directory that SSL_CERT_DIR names is searched by hash")
    func directory() async {
        await #expect(processExitsWith: .success) {
            let ca = try TestCA()
            let directory = try TemporaryDirectory()
            let server = try ca.issue("localhost")
            let files = try server.write(to: directory.path)
            let hash = try openSSL("x509", "-hash", "-noout", "-in", files.root)
            let link = String(decoding: hash.prefix(8), as: UTF8.self)
            #expect(unsafe symlink(files.root, "\(directory.path)/\(link).0") == 0)
            useBundle("/nonexistent")
            // Nothing else runs in this process.
            unsafe setenv("SSL_CERT_DIR", directory.path, 1)
            let pair = try EnginePair(
                client: TLSContext(role: .client),
                server: TLSContext(role: .server, identities: [TLSIdentity(server)])
            )
            try pair.handshake()
            #expect(pair.facts(.client).report.isPeerTrusted)
        }
    }

    @Test("without any anchor a policy that accepts anything still says that there was none")
    func acceptAnything() async {
        await #expect(processExitsWith: .success) {
            useBundle("/nonexistent")
            let server = try TestCA().issue("localhost")
            let pair = try EnginePair(
                client: TLSContext(role: .client, trust: .acceptAnything(because: "test")),
                server: TLSContext(role: .server, identities: [TLSIdentity(server)])
            )
            try pair.handshake()
            #expect(pair.facts(.client).report.verification?.code == .noAnchors)
            #expect(!pair.facts(.client).report.isPeerTrusted)
        }
    }
}

/// Has the environment of this process, in which nothing else runs, name a bundle and no directory.
private func useBundle(_ path: String) {
    unsafe setenv("SSL_CERT_FILE", path, 1)
    unsafe unsetenv("SSL_CERT_DIR")
}
