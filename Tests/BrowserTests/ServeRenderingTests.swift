// The page of `serve` in headless Chromium, whose ClientHello it shows.

import Foundation
import Sockets
import Synchronization
import TLSTestKit
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection
@testable import tlsinspect

@Suite(.timeLimit(.minutes(3)), .enabled(if: Browser.isThere, "there is no chromium"))
struct ServeRenderingTests {
    /// Runs the command on a port of the system's choice, while a closure runs.
    private func serve(_ body: @escaping @Sendable (_ port: String) async throws -> Void)
        async throws
    {
        let said = Mutex("")
        let failure = Mutex<(any Error)?>(nil)
        let surroundings = ToolSurroundings(
            now: UnixTime(seconds: TestCA.wallClock()),
            announce: { text in said.withLock { $0 += text } },
            waitForEnd: {
                do {
                    let text = said.withLock { $0 }
                    let match = try #require(text.firstMatch(of: /127\.0\.0\.1:(\d+)/))
                    try await body(String(match.1))
                } catch {
                    failure.withLock { $0 = error }
                }
            }
        )
        let output = await Tool.run(["serve", "127.0.0.1:0"], in: surroundings)
        if let error = failure.withLock({ $0 }) { throw error }
        #expect(output.status == .clean)
    }

    @Test(
        "a browser sees its own hello: GREASE, ALPN, fingerprints, in light and dark, small and large"
    )
    func page() async throws {
        try await serve { port in
            let url = "https://localhost:\(port)/"
            let shown = try await Browser.showEverywhere(
                url,
                asking: "getComputedStyle(document.body).maxWidth"
            )
            expectWhole(shown, url)
            for page in shown {
                for part in [
                    "Your ClientHello", "h2, http/1.1", "server_name", "supported_groups", "GREASE",
                    "TLS_AES_128_GCM_SHA256", "x25519", "localhost", "TLS1.3",
                ] {
                    #expect(page.text.contains(part), "lacks \(part)")
                }
                let fingerprint = page.text.firstMatch(of: /t13d\d{4}h2_[0-9a-f]{12}_[0-9a-f]{12}/)
                #expect(fingerprint != nil)
                #expect(page.text.contains(/GREASE\s+yes/))
            }
            // The sheet of style is the one that the policy names; on paper it has no width of its own.
            #expect(shown.map(\.result) == Array(repeating: .string("992px"), count: 5) + ["none"])
        }
    }

    @Test(
        "what the browser is told as JSON is as the schema says, and an address has no servername"
    )
    func json() async throws {
        try await serve { port in
            let pages = ["https://localhost:\(port)/json", "https://127.0.0.1:\(port)/json"]
            let shown = try await Browser.show(pages.map { Browser.Page(url: $0) })
            for (page, name) in zip(shown, ["localhost", nil]) {
                let json = try JSONValue(parsing: page.text)
                #expect(try JSONSchema.published(for: "tlsinspect").faults(of: json) == [])
                let report = try JSONDecoder().decode(HelloReport.self, from: Data(page.text.utf8))
                #expect(report.sni == name)
                #expect(report.alpn == ["h2", "http/1.1"])
                #expect(report.grease)
                #expect(report.ja4.hasPrefix(name == nil ? "t13i" : "t13d"))
                #expect(report.negotiated?.version == "TLS1.3")
                #expect(report.negotiated?.alpn == "http/1.1")
            }
        }
    }
}
