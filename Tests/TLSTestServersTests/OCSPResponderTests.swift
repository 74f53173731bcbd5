// The responder as programs meet it: by POST and GET, right and wrong.

import Sockets
import TLSTestKit
import TLSTestServers
import Testing
import ToolFixtures

@Suite(.timeLimit(.minutes(1))) struct OCSPResponderTests {
    /// Sends a request, and gives the status code and body of the answer.
    private func ask(
        _ responder: OCSPResponder,
        _ head: String,
        body: [UInt8] = []
    ) async throws -> (status: Int, body: [UInt8]) {
        try await withSocket(SocketInit(remote: responder.address)) { socket in
            try await socket.write(Array(head.utf8) + body)
            var answer: [UInt8] = []
            while let bytes = try await socket.read() { answer += bytes }
            let text = String(decoding: answer.prefix(12), as: UTF8.self)
            let end = (4...answer.count).first {
                answer[($0 - 4)..<$0].elementsEqual([13, 10, 13, 10])
            }
            return (Int(text.suffix(3)) ?? 0, Array(answer[(end ?? answer.count)...]))
        }
    }

    private func post(_ responder: OCSPResponder, _ request: OCSPRequest) async throws -> [UInt8] {
        let body = try request.encoded()
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.count)\r\n\r\n"
        return try await ask(responder, head, body: body).body
    }

    private func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        )
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = (0..<3).reduce(UInt32(0)) {
                $0 << 8 | (start + $1 < bytes.count ? UInt32(bytes[start + $1]) : 0)
            }
            for digit in 0..<4 {
                text.append(
                    start + digit > bytes.count
                        ? "=" : alphabet[Int(group >> (18 - 6 * digit) & 63)]
                )
            }
        }
        return text
    }

    @Test("it answers by certificate, and shows what was asked")
    func answers() async throws {
        let authority = try TestCA()
        try await OCSPResponder.run(for: authority) { responder in
            let leaf = try responder.issue("a.test")
            let request = OCSPRequest(
                for: [try OCSPCertificateID(of: leaf, issuedBy: authority, digest: .sha256)],
                nonce: Array(1...16)
            )
            #expect(responder[leaf] == .good)
            let good = try await post(responder, request)
            responder[leaf] = .revoked()
            let revoked = try await post(responder, request)
            #expect(good != revoked && !good.isEmpty)
            #expect(responder.requests.map(\.question) == [request, request])
            #expect(responder.requests.map(\.method) == ["POST", "POST"])
        }
    }

    @Test("GET holds the request in base64, with or without escapes")
    func get() async throws {
        let authority = try TestCA()
        try await OCSPResponder.run(for: authority) { responder in
            let leaf = try responder.issue("a.test")
            let id = try OCSPCertificateID(of: leaf, issuedBy: authority)
            let request = OCSPRequest(for: [id])
            let text = base64(try request.encoded())
            let escaped = text.replacing("+", with: "%2B").replacing("=", with: "%3d")
                .replacing("/", with: "%2F")
            for target in [text, escaped] {
                let answer = try await ask(
                    responder,
                    "GET /\(target) HTTP/1.1\r\nHost: a\r\n\r\n"
                )
                #expect(answer.status == 200)
                #expect(answer.body.count > 100)
            }
            #expect(responder.requests.map(\.question) == [request, request])
        }
    }

    @Test("others' certificates are none of its business, and unreadable requests malformed")
    func refusals() async throws {
        let authority = try TestCA()
        let stranger = try TestCA(name: "Stranger")
        let leaf = try stranger.issue("a.test")
        try await OCSPResponder.run(for: authority) { responder in
            let id = try OCSPCertificateID(of: leaf, issuedBy: stranger)
            let answer = try await post(responder, OCSPRequest(for: [id]))
            #expect(answer == OCSPAnswer.unauthorized.der)
            let head = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
            #expect(try await ask(responder, head).body == OCSPAnswer.malformedRequest.der)
            let put = try await ask(responder, "PUT / HTTP/1.1\r\n\r\n")
            #expect(put.status == 405)
        }
    }

    @Test(
        "what fails on the way leaves openssl without an answer",
        arguments: OCSPFetchFault.allCases
    )
    func fetching(_ fault: OCSPFetchFault) async throws {
        guard let openssl = try program("openssl") else { return }
        #expect(fault.verdict == .undetermined)
        let directory = try TemporaryDirectory()
        try await OCSPResponder.run(for: TestCA()) { responder in
            let files = try responder.issue("a.test").write(to: directory.path)
            responder.behaviour = fault.behaviour
            let run = try await ProcessRun(
                openssl,
                [
                    "ocsp", "-timeout", "1", "-issuer", files.root, "-cert", files.chain,
                    "-url", responder.url, "-CAfile", files.root,
                ]
            )
            #expect(run.exitCode == 1)
            #expect(!run.output.contains("good"))
            #expect(run.errors.contains("Error querying OCSP responder"), "\(run.errors)")
        }
    }

    @Test("the faults of fetching have names and words of their own")
    func fetchFaults() {
        let all = OCSPFetchFault.allCases
        #expect(Set(all.map(\.summary)).count == all.count)
        #expect(all.map(\.description) == all.map(\.rawValue))
    }

    @Test("it misbehaves as it is told to")
    func behaviours() async throws {
        let authority = try TestCA()
        try await OCSPResponder.run(for: authority) { responder in
            let leaf = try responder.issue("a.test")
            let id = try OCSPCertificateID(of: leaf, issuedBy: authority)
            let request = OCSPRequest(for: [id])
            responder.behaviour = .answer(.tryLater)
            #expect(try await post(responder, request) == OCSPAnswer.tryLater.der)
            responder.behaviour = .httpStatus(503)
            #expect(try await ask(responder, "GET /x HTTP/1.1\r\n\r\n").status == 503)
            responder.behaviour = .slow(.milliseconds(1))
            let slow = try await post(responder, request)
            responder.behaviour = .bent { $0.singles[0].nextUpdate = nil }
            let bent = try await post(responder, request)
            #expect(bent.count < slow.count)
            responder.behaviour = .silent
            let socket = try Socket(
                SocketInit(remote: responder.address) { $0.idleTimeout = .milliseconds(200) }
            )
            let error = await #expect(throws: SocketError.self) {
                // Where the process stands still meanwhile, this is what comes too late.
                try await socket.write("GET /x HTTP/1.1\r\n\r\n")
                _ = try await socket.read()
            }
            #expect(error?.code == .idleTimedOut)
        }
    }
}
