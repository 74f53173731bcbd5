// TLSA records beside `openssl s_client`: the same records, the same server, the same verdict.

import Foundation
import Sockets
import TLSEngine
import TLSTestKit
import Testing

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("TLSA records beside s_client", .serialized, .needs(.openssl))
    struct TLSATests {
        /// A record's usage and selector, and whose certificate it is of.
        struct Row: Sendable, CustomTestStringConvertible {
            let usage: TLSARecord.Usage
            let selector: TLSARecord.Selector
            /// 0 is the leaf, 1 its issuer, 2 the root, 3 a stranger.
            let place: Int

            var testDescription: String {
                "\(usage.rawValue) \(selector.rawValue) of \(place)"
            }

            static let all = (0...3).flatMap { usage in
                (0...1).flatMap { selector in
                    (0...3).map { place in
                        Row(
                            usage: .init(rawValue: UInt8(usage)),
                            selector: .init(rawValue: UInt8(selector)),
                            place: place
                        )
                    }
                }
            }
        }

        @Test("both let in and refuse the same servers", arguments: Row.all)
        func verdicts(_ row: Row) async throws {
            let authorities = try Authorities.shared.get()
            for handshake in [HandshakeRow(), HandshakeRow(protocols: .none, server: .untrusted)] {
                let issued = try authorities.serverCertificate(handshake)
                let chain = try issued.chainDER.map { try Certificate(der: $0) }
                let candidates = try chain + [Certificate(der: issued.rootDER), stranger()]
                for matching in [TLSARecord.Matching.full, .sha256, .sha512] {
                    let record = TLSARecord(
                        usage: row.usage,
                        selector: row.selector,
                        matching: matching,
                        of: candidates[row.place]
                    )
                    try await expectSameVerdict(record, issued)
                }
            }
        }

        private func stranger() throws -> Certificate {
            try Certificate(der: TestCA().issue("stranger.test").certificateDER)
        }

        private func expectSameVerdict(
            _ record: TLSARecord,
            _ issued: IssuedCertificate
        ) async throws {
            let directory = try TemporaryDirectory()
            let authorities = try Authorities.shared.get()
            let root = directory.path + "/root.pem"
            try Data(authorities.root.certificatePEM.utf8).write(to: URL(fileURLWithPath: root))
            let options = try SocketListenerInit(
                type: .tls,
                local: .init("127.0.0.1", port: 0),
                identity: issued.identity()
            )
            let listener = try SocketListener(options)
            let serving = Task {
                try await listener.serve(onError: { _, _ in }) { try await $0.close() }
            }
            defer { serving.cancel() }
            let theirs = try await ForeignProcess.run(
                .openssl,
                [
                    "s_client", "-connect", listener.localAddress.description, "-CAfile", root,
                    "-no-CApath", "-no-CAstore", "-x509_strict", "-verify_return_error",
                    "-dane_tlsa_domain", Authorities.host, "-dane_tlsa_rrdata", "\(record)",
                    "-dane_ee_no_namechecks",
                ]
            ) { process in
                process.closeInput()
                return try await process.wait()
            }
            let socket = try Socket(
                SocketInit(type: .tls, remote: listener.localAddress) {
                    $0.servername = Authorities.host
                    $0.trust = try authorities.trust()
                    $0.trust.tlsaRecords = TLSARecords([record])
                }
            )
            var info: SocketInfo?
            var failure: SocketError?
            do throws(SocketError) { info = try await socket.ready } catch { failure = error }
            #expect((theirs.exitCode == 0) == (info != nil), "\(record): \(theirs.text)")
            if let info {
                let verdict = try #require(info.tls?.report.tlsa)
                #expect(verdict.match == record)
                let depth = try #require(verdict.depth)
                #expect(theirs.text.contains(" at depth \(depth)"), "\(theirs.text)")
            } else {
                #expect(failure?.code == .certificateRejected)
                let code = try #require(failure?.tls?.verification?.code)
                let isDane = theirs.text.contains("No matching DANE TLSA records")
                #expect(!isDane || code == .tlsaMismatch)
            }
            try? await socket.close()
            await listener.close()
        }
    }
}
