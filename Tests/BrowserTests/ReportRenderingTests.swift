// Pages of `--report` in headless Chromium: that they are shown as they are meant, whatever a certificate
// says, on a phone, on a desk and on paper, in light and in dark.

import Foundation
import Sockets
import TLSTestKit
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection
@testable import tlsinspect

/// How much a colour stands out against what is behind it, by the formula of WCAG 2: the least of all texts.
///
/// Pictures are measured too. What is transparent is looked through.
private let leastContrast = """
    (() => {
      const parse = t => { const m = t.match(/[\\d.]+/g).map(Number);
        return m.length > 3 ? m : [...m, 1] };
      const channel = v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 };
      const light = c => .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2]);
      const behind = e => { for (; e; e = e.parentElement) {
        if (e.localName === 'g' || e.localName === 'svg') continue;
        const c = parse(getComputedStyle(e).backgroundColor); if (c[3] > .9) return c }
        return [255, 255, 255] };
      let least = [99, ''];
      for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
        if (!own || !e.getClientRects().length || e.closest('desc, title')) continue;
        const style = getComputedStyle(e);
        const ink = parse(e.ownerSVGElement ? style.fill : style.color);
        const [a, b] = [light(ink), light(behind(e.ownerSVGElement || e))].sort((x, y) => y - x);
        const ratio = (a + .05) / (b + .05);
        if (ratio < least[0]) least = [ratio, e.outerHTML.slice(0, 80)];
      }
      return least;
    })()
    """

/// Whether texts of pictures stay in their pictures, by the names of those that do not.
private let textsOutside = """
    [...document.querySelectorAll('svg text')].filter(t => { if (!t.getClientRects().length) return false;
      const a = t.getBoundingClientRect(), b = t.ownerSVGElement.getBoundingClientRect();
      return a.left < b.left - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 1 })
      .map(t => t.textContent)
    """

@Suite(.timeLimit(.minutes(3)), .enabled(if: Browser.isThere, "there is no chromium"))
struct ReportRenderingTests {
    private let now = UnixTime(seconds: TestCA.wallClock())
    private let directory = TestFolder()

    private func run(_ arguments: [String]) async -> tlsinspect.ToolOutput {
        await Tool.run(arguments, in: ToolSurroundings(now: now))
    }

    /// Runs a command with `--report`, and shows the page everywhere.
    private func show(
        _ arguments: [String],
        asking ask: String = "null"
    ) async throws -> [Browser.Shown] {
        let file = directory.path + "/page.html"
        let patience = arguments == ["demo"] ? [] : ["--timeout", "60"]
        let output = await run(arguments + patience + ["--report", file])
        #expect(output.status != .usage, "\(output.errors)")
        let url = "file://" + file
        let shown = try await Browser.showEverywhere(url, asking: ask)
        expectWhole(shown, url)
        return shown
    }

    /// An address where nobody listens any more.
    private func unusedAddress() async throws -> String {
        let listener = try SocketListener(
            SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))
        )
        let address = "\(listener.localAddress)"
        await listener.close()
        return address
    }

    /// Runs a server with a certificate of an authority whose root is in a file.
    private func withServer(
        _ recipe: CertificateRecipe,
        _ authority: TestCA,
        alpn: [String] = ["h2", "http/1.1"],
        _ body: (_ address: String, _ root: String) async throws -> Void
    ) async throws {
        let root = directory.path + "/root.pem"
        try authority.certificatePEM.write(toFile: root, atomically: true, encoding: .utf8)
        let issued = try authority.intermediate(name: "Middle", pathLength: 0).issue(recipe)
        let identity = try TLSIdentity(
            certificate: Array(issued.chainPEM.utf8),
            privateKey: Array(issued.privateKeyPEM.utf8)
        )
        let options = SocketListenerInit(
            type: .tls,
            local: SocketAddress("127.0.0.1", port: 0),
            identity: identity
        ) { $0.alpn = alpn }
        try await withListener(options) { listener in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await listener.serve { socket in
                        for try await _ in try socket.stream() {}
                    }
                }
                try await body("\(listener.localAddress)", root)
                await listener.close()
                try await group.waitForAll()
            }
        }
    }

    @Test("the page of a probe shows chain, verdicts, times and findings, everywhere")
    func probe() async throws {
        let shown = try await show(["demo"])
        for page in shown {
            for part in [
                "demo.test", "TLS_AES_256_GCM_SHA384", "no-staple", "tlsinspect demo --report",
                "Certificates in full", "ok, 1 note",
            ] {
                #expect(page.text.contains(part), "lacks \(part)")
            }
            // One of the two drawings of the chain, and the handshake.
            #expect(page.roles.count == 2)
            #expect(page.roles[0].contains("leaf: demo.test, *.demo.test"))
            #expect(page.roles[0].contains("for demo.test"))
            #expect(page.roles[0].contains("trusted, by the given roots"))
            #expect(page.roles[1].contains("client: ClientHello"))
        }
    }

    @Test("every text stands out against what is behind it, and those of pictures stay in them")
    func contrast() async throws {
        for page in try await show(["demo"], asking: leastContrast) {
            let least = try #require(page.result?.array)
            #expect(try #require(least[0].number) >= 4.5, "\(least[1])")
        }
        for page in try await show(["probe", try await unusedAddress()], asking: leastContrast) {
            let least = try #require(page.result?.array)
            #expect(try #require(least[0].number) >= 4.5, "\(least[1])")
        }
        for page in try await show(["demo"], asking: textsOutside) {
            #expect(page.result == .array([]))
        }
    }

    @Test("names in certificates that are markup, or turn text around, are shown and do nothing")
    func hostile() async throws {
        let words = [
            #"<script>document.title="owned"</script>"#, #""><img src=//127.0.0.1:1/x onerror=x>"#,
            "</title></svg><h1>owned</h1>", "\u{202e}tset.dab", "a<style>*{display:none}</style>",
            String(repeating: "very-long-name-without-a-break.", count: 8) + "test",
        ]
        var recipe = CertificateRecipe.server(["a.test"])
        recipe.names += words.map { .raw(tag: 2, contents: Array($0.utf8)) }
        let authority = try TestCA(name: "<b onclick=alert(1)>Root</b> \u{202e}toor")
        try await withServer(recipe, authority) { address, root in
            let trust = ["--sni", "a.test"]
            for arguments in [
                ["probe", address] + trust + ["--ca", root], ["matrix", address] + trust,
                ["expiry", address] + trust, ["diff", address, address] + trust,
            ] {
                let shown = try await show(arguments, asking: "[document.title, \(textsOutside)]")
                for page in shown {
                    #expect(page.elements["h1"] == 1)
                    #expect(page.elements["style"] == 1)
                    #expect(page.elements["b"] == nil)
                    #expect(!page.text.contains("\u{202e}"))
                    let title = try #require(page.result?.array?.first?.string)
                    #expect(title.hasPrefix("tlsinspect "))
                    #expect(page.result?.array?.last == .array([]))
                }
            }
        }
    }

    @Test("a matrix has its cells, and a phone scrolls the table and not the page")
    func matrix() async throws {
        try await withServer(.server(["a.test"]), try TestCA()) { address, _ in
            let shown = try await show(
                ["matrix", address, "--sni", "a.test,c.test,-", "--alpn", "h2,http/1.1,?,-"],
                asking: "[...document.querySelectorAll('td, th')].map(c => c.innerText.trim())"
            )
            for page in shown {
                let cells = (page.result?.array ?? []).compactMap(\.string)
                #expect(cells.contains("c.test"))
                #expect(cells.contains("✓h2"), "\(cells)")
                #expect(cells.contains("!alert 120"))
                #expect(cells.contains("–no protocol"))
                #expect(cells.contains { $0.hasPrefix("Aa.test") && $0.hasSuffix("other name") })
            }
        }
    }

    @Test("a scan, an overview of ends, a comparison and failures fit everywhere")
    func others() async throws {
        try await withServer(.server(["a.test"]), try TestCA()) { address, root in
            let scan = try await show(["scan", address, "--policy", "modern"])
            #expect(scan.allSatisfy { $0.text.contains("TLS 1.3 spoken") })
            #expect(scan.allSatisfy { $0.text.contains("against modern") })
            let hosts = directory.path + "/hosts"
            try "\(address) a.test\n\(address) b.test\n\(try await unusedAddress()) c.test\n"
                .write(toFile: hosts, atomically: true, encoding: .utf8)
            let expiry = try await show(["expiry", "--file", hosts, "--ca", root])
            #expect(expiry.allSatisfy { $0.text.contains("wrong name") })
            let diff = try await show([
                "diff", address, "localhost:\(address.split(separator: ":")[1])",
            ])
            #expect(diff.allSatisfy { $0.text.contains("leaf.sha256") })
        }
        let refused = try await show(["probe", try await unusedAddress()])
        #expect(refused.allSatisfy { $0.text.contains("Nobody listens on that port.") })
    }

    @Test("the browser writes pictures of the size that was asked for")
    func screenshots() async throws {
        let file = directory.path + "/page.html"
        #expect(await run(["demo", "--report", file]).status == .clean)
        for (width, height) in [(390, 844), (1200, 900)] {
            let picture = directory.path + "/\(width).png"
            let url = "file://" + file
            let page = Browser.Page(url: url, width: width, height: height, screenshot: picture)
            expectWhole(try await Browser.show([page]), url)
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: picture)))
            #expect(bytes.prefix(8) == [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10])
            // IHDR: width and height, four bytes each.
            let sizes = [16, 20].map { bytes[$0..<($0 + 4)].reduce(0) { $0 << 8 | Int($1) } }
            #expect(sizes == [width, height])
            // An empty page takes a tenth of this.
            #expect(bytes.count > 20_000)
        }
    }
}

/// A folder that goes with the suite that holds it.
final class TestFolder: Sendable {
    let path: String

    init() {
        path =
            FileManager.default.temporaryDirectory
            .appendingPathComponent("browser-tests-\(UUID().uuidString)").path
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
