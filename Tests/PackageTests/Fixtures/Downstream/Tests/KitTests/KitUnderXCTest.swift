// The test kit in somebody else's XCTest, with this package's sockets and without them.

import Sockets
import TLSEngine
import TLSTestKit
import XCTest

final class KitUnderXCTest: XCTestCase {
    func testFaultInMemory() throws {
        let scenario = try CertificateFault.expired.scenario(under: TestCA())
        let pair = try EnginePair(
            client: TLSContext(role: .client, trust: scenario.trust),
            server: TLSContext(role: .server, identities: [scenario.certificate.tlsIdentity]),
            remoteName: scenario.host
        )
        XCTAssertThrowsError(try pair.handshake()) { error in
            XCTAssertEqual((error as? TLSError)?.verification?.code, .expired)
        }
    }

    func testSoundConnection() async throws {
        let ca = try TestCA()
        var options = SocketListenerInit(type: .tls, local: SocketAddress("127.0.0.1", port: 0))
        options.identity = try ca.issue("127.0.0.1").tlsIdentity
        let listener = try SocketListener(options)
        var client = SocketInit(type: .tls, remote: listener.localAddress)
        client.trust = try ca.trust
        async let serving: Void = listener.serve { socket in try await socket.write("hello") }
        let bytes = try await withSocket(client) { socket in try await socket.read(upTo: 5) }
        XCTAssertEqual(bytes, Array("hello".utf8))
        await listener.close()
        try await serving
    }
}
