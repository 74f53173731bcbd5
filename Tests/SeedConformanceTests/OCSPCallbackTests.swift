// The draft's callback OCSPCallback: void(Uint8Array response).

import Sockets
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct OCSPCallbackTests {
    @Test("it gets the response in DER and what it says, may take its time, and may refuse")
    func callback() async throws {
        let response = try Authority.shared().staple
        let seen = Mutex<(response: [UInt8], staple: OCSPStaple?)?>(nil)
        let judge: OCSPCallback = { response, staple in
            await Task.yield()
            seen.withLock { $0 = (response, staple) }
        }
        let pair = try await Pair(
            .tls,
            client: { $0.ocsp = judge },
            server: { $0.ocspResponse = response }
        )
        let told = seen.withLock { $0 }
        #expect(told?.response == response)
        #expect(told?.staple?.status == .good)
        #expect(told?.staple?.der == response)
        #expect(try pair.clientTLS().report.ocspStaple == told?.staple)
        let error = await #expect(throws: SocketError.self) {
            try await Pair(
                .tls,
                client: { $0.ocsp = { _, _ in throw TLSRefusal("too old for us") } },
                server: { $0.ocspResponse = response }
            )
        }
        #expect(error?.code == .refusedByApplication)
        #expect(error?.tls?.detail == "too old for us")
    }
}
