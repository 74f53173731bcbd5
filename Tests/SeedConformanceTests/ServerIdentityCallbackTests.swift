// The draft's callback ServerIdentityCallback: Promise<undefined>(USVString servername, Uint8Array cert).

import Sockets
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct ServerIdentityCallbackTests {
    @Test("it gets the servername and the certificate in DER, may take its time, and may reject")
    func callback() async throws {
        let seen = Mutex<(name: String, cert: [UInt8])?>(nil)
        let check: ServerIdentityCallback = { servername, identity in
            await Task.yield()
            seen.withLock { $0 = (servername, identity.certificate) }
            // The usual check is there to be called.
            try identity.check()
        }
        let pair = try await Pair(
            .tls,
            client: {
                $0.servername = "a.test"
                $0.checkServerIdentity = check
            }
        )
        let told = seen.withLock { $0 }
        #expect(told?.name == "a.test")
        let shown = try pair.clientTLS().peerCertificate
        #expect(told?.cert == shown && shown != nil)
        let error = await #expect(throws: SocketError.self) {
            try await Pair(
                .tls,
                client: {
                    $0.servername = "b.test"
                    $0.checkServerIdentity = check
                }
            )
        }
        #expect(error?.code == .certificateRejected)
    }
}
