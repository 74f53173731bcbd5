// Servernames and protocols against servers of every make that can be had here.

import Foundation
import Sockets
import TLSTestKit
import Testing
import ToolFixtures

@testable import TLSInspection

@Suite(.timeLimit(.minutes(1)))
final class MatrixTests {
    let bench: TestBench
    let directory: TemporaryDirectory

    init() throws {
        bench = try TestBench(now: UnixTime(seconds: TestCA.wallClock()))
        directory = try TemporaryDirectory()
    }

    private static let offers = ["h2", "http/1.1", "?", "-"]

    private func matrix(
        _ address: SocketAddress,
        _ names: [String?],
        _ offers: [String] = MatrixTests.offers
    ) async throws -> MatrixReport {
        let probe = try Probe(SocketAddress("127.0.0.1", port: 0)) {
            $0.timeout = .seconds(60)
            $0.connect = address
            $0.anchors = try bench.anchors
        }
        let options = MatrixOptions(probe: probe, servernames: names, offers: offers)
        return try conforming(await Inspector(now: bench.now).matrix(options))
    }

    /// Certificates and keys in one file each, by name.
    private func files(_ names: String...) throws -> [String] {
        try names.map { name in
            let issued = try bench.intermediate.issue(.server([SubjectName(stringLiteral: name)]))
            let path = directory.path + "/\(name).pem"
            try (issued.chainPEM + issued.privateKeyPEM)
                .write(toFile: path, atomically: true, encoding: .utf8)
            return path
        }
    }

    private func words(_ report: MatrixReport, _ row: Int) -> [String] {
        report.rows[row].cells.map { cell in
            cell.alert.map { "alert \($0.number)" } ?? cell.chosen ?? "-"
        }
    }

    @Test("nginx: default host, rejected name, alert 120, its own order")
    func nginx() async throws {
        let files = try files("default.test", "a.test", "b.test")
        func server(_ name: String, _ file: String, _ more: String = "") -> String {
            """
            server {
                listen %SOCKET% ssl http2\(more); server_name \(name);
                ssl_certificate \(file); ssl_certificate_key \(file);
            }

            """
        }
        let servers =
            server("default.test", files[0], " default_server") + server("a.test", files[1])
            + server("b.test", files[2])
            + "server { listen %SOCKET% ssl; server_name rej.test; ssl_reject_handshake on; }"
        let report = try await withNginx(in: directory.path, servers) {
            try await matrix($0, ["a.test", "b.test", "rej.test", "zzz.test", nil])
        }
        #expect(words(report, 0) == ["h2", "http/1.1", "alert 120", "-"])
        #expect(words(report, 2) == ["alert 112", "alert 112", "alert 112", "alert 112"])
        #expect(words(report, 4) == ["h2", "http/1.1", "alert 120", "-"])
        #expect(report.rows.map(\.certificate) == ["A", "B", nil, "C", "C"])
        #expect(report.rows.map(\.matches) == [true, true, nil, false, nil])
        #expect(report.certificates["C"]?.name == "default.test")
        #expect(report.defaults.unknown == "C")
        #expect(report.defaults.absent == "C")
        #expect(report.order == .init(preference: .server, protocols: ["h2", "http/1.1"]))
        #expect(report.noOverlap == .refuses)
        #expect(report.findings.map(\.id) == ["default-certificate"])
        #expect(report.exit == .clean)
    }

    @Test(
        "haproxy: goes on without a protocol; strict-sni refuses with alert 112",
        arguments: [false, true]
    )
    func haproxy(_ isStrict: Bool) async throws {
        let files = try files("a.test", "b.test")
        let bind =
            "ssl crt \(files[0]) crt \(files[1]) alpn h2,http/1.1" + (isStrict ? " strict-sni" : "")
        let report = try await withHAProxy(in: directory.path, bind) {
            try await matrix($0, ["a.test", "b.test", "zzz.test", nil])
        }
        #expect(words(report, 0) == ["h2", "http/1.1", "-", "-"])
        #expect(report.rows[1].certificate == "B")
        #expect(report.noOverlap == .ignores)
        #expect(report.order?.preference == .server)
        if isStrict {
            #expect(words(report, 2) == ["alert 112", "alert 112", "alert 112", "alert 112"])
            #expect(
                report.defaults
                    == .init(
                        unknown: nil,
                        unknownRefusal: "alert 112 unrecognized_name",
                        absent: nil,
                        absentRefusal: "alert 112 unrecognized_name"
                    )
            )
        } else {
            #expect(report.rows.map(\.certificate) == ["A", "B", "A", "A"])
            #expect(report.defaults.unknown == "A")
        }
    }

    @Test("openssl s_server: one protocol, and a servername that is fatal")
    func openssl() async throws {
        let files = try files("a.test", "b.test")
        let report = try await withOpenSSLServer([
            "-cert", files[0], "-key", files[0], "-alpn", "h2", "-servername", "b.test", "-cert2",
            files[1], "-key2", files[1], "-servername_fatal",
        ]) { try await matrix($0, ["b.test", "zzz.test", nil]) }
        // Its second certificate has a context of its own, which knows of no protocols.
        #expect(words(report, 0) == ["-", "-", "-", "-"])
        #expect(words(report, 2) == ["h2", "alert 120", "alert 120", "-"])
        #expect(words(report, 1) == ["alert 112", "alert 112", "alert 112", "alert 112"])
        #expect(report.rows[0].certificate != report.rows[2].certificate)
        #expect(report.defaults.unknownRefusal == "alert 112 unrecognized_name")
        #expect(report.order == nil)
    }

    @Test("this package's listener: virtual hosts, and a name that nobody has")
    func listener() async throws {
        let options = try bench.listener(.server(["a.test"])) {
            $0.hosts = [
                TLSVirtualHost(
                    "b.test",
                    "*.b.test",
                    identities: [try bench.identity(.server(["b.test", "*.b.test"]))]
                )
            ]
        }
        let report = try await withServer(options) {
            try await matrix($0, ["a.test", "b.test", "x.b.test", nil])
        }
        #expect(report.rows.map(\.certificate).prefix(3) == ["A", "B", "B"])
        #expect(words(report, 0) == ["h2", "http/1.1", "alert 120", "-"])
        #expect(report.rows.prefix(3).map(\.matches) == [true, true, true])
    }

    @Test("a server that chooses what was not offered imposes it, and is found out")
    func imposing() async throws {
        // The answer of TLS 1.2 up to its certificates, which is all that is looked at.
        let options = SocketListenerInit(type: .tcp, local: SocketAddress("127.0.0.1", port: 0))
        let extensions: [UInt8] = [0, 16, 0, 5, 0, 3, 2] + Array("zz".utf8)
        let hello =
            [3, 3] + [UInt8](repeating: 7, count: 32) + [0, 0xc0, 0x2b, 0, 0, 9] + extensions
        let answer = HostileAnswer.message(2, hello)
        let report = try await withServer(options) { socket in
            _ = try await socket.read()
            try await socket.write(answer)
            try await readToEnd(socket)
        } _: {
            try await matrix($0, [nil], ["h2"])
        }
        // A broken handshake of no kind of its own: nothing is told that was not seen whole.
        #expect(report.exit == .noHandshake)
        var run = ScanRun(ScanOptions(SocketAddress("a.test", port: 0)))
        run.plan = ScanPlan(servername: nil, protocols: [], isFast: false)
        let version = ScanProbe(
            purpose: .version(.tls12),
            hello: RawHello(versions: [.tls12], suites: [0xc02b])
        )
        run.plan.take(HostileAnswer.chosen, to: version)
        let strange = ScanProbe(
            purpose: .alpn(ScanPlan.strangeProtocol),
            hello: RawHello(versions: [.tls12], suites: [0xc02b])
        )
        var reader = ServerReader()
        _ = reader.read(answer)
        run.plan.take(reader.ending(or: .closed), to: strange)
        #expect(run.report(failOn: .bad).alpn?.noOverlap == .imposes)
    }

    @Test("nobody there is a failure, not an empty table")
    func refused() async throws {
        let report = try await matrix(try unusedAddress(), ["a.test"])
        #expect(report.result == .refused)
        #expect(report.exit == .noConnection)
        #expect(report.rows == [])
        #expect(report.error?.code == "connection_refused")
    }
}
