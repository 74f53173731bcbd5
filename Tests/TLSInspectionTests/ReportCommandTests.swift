// `--report` of each command: what is written, what is not, and what that does to streams and exit codes.

import Foundation
import Glibc
import Sockets
import Synchronization
import TLSTestKit
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection
@testable import tlsinspect

@Suite(.timeLimit(.minutes(1)))
struct ReportCommandTests {
    let bench: TestBench

    init() throws { bench = try TestBench() }

    private func run(_ arguments: [String]) async -> tlsinspect.ToolOutput {
        await Tool.run(arguments, in: ToolSurroundings(now: testTime))
    }

    /// A server that removes a folder before it answers a hello: no client's handshake is over before.
    private func listener(removing folder: String) throws -> SocketListenerInit {
        try bench.listener(TestBench.lasting) {
            $0.admit = { _, _ in
                try? FileManager.default.removeItem(atPath: folder)
                return .accept
            }
        }
    }

    private func text(_ file: String) throws -> String {
        try String(contentsOfFile: file, encoding: .utf8)
    }

    @Test(
        "the page comes beside the result, which stays what it is",
        arguments: ["probe", "matrix", "scan", "expiry", "diff"]
    )
    func beside(_ command: String) async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path
        let root = try bench.root.identity.write(to: path).root
        try await withServer(try bench.listener(TestBench.lasting)) { address in
            var arguments = [command, "\(address)", "--sni", "a.test", "--timeout", "60"]
            if command == "diff" { arguments.insert("\(address)", at: 2) }
            if command != "scan" { arguments += ["--ca", root] }
            // Those that scan take their time.
            let isQuick = command != "scan" && command != "diff"
            for format in isQuick ? ["text", "json"] : ["json"] {
                let file = "\(path)/\(format) page's.html"
                let output = await run(arguments + ["--format", format, "--report", file])
                #expect(output.status == .clean)
                #expect(output.errors == "")
                #expect(output.text != "" && !output.text.contains("<html"))
                if format == "json" {
                    let value = try JSONValue(parsing: output.text)
                    #expect(try JSONSchema.inspector().faults(of: value) == [])
                }
                let page = try text(file)
                #expect(page.contains("<p class=\"kind\">tlsinspect \(command)</p>"))
                // The command as a shell takes it, escaped.
                #expect(page.contains("page&#39;\\&#39;&#39;s.html&#39;"))
            }
            let left = try FileManager.default.contentsOfDirectory(atPath: path)
            #expect(!left.contains { $0.hasPrefix(".page-") })
        }
    }

    @Test("what fails has a page too, and its exit code")
    func failures() async throws {
        let directory = try TemporaryDirectory()
        let file = directory.path + "/page.html"
        let unused = "\(try unusedAddress())"
        for arguments in [
            ["probe", unused], ["matrix", unused], ["scan", unused], ["expiry", unused],
            ["expiry", unused, "--format", "prometheus"], ["diff", unused, unused],
        ] {
            let output = await run(arguments + ["--report", file])
            #expect(output.status == .noConnection)
            #expect(output.errors == "")
            let page = try text(file)
            #expect(page.contains("connection refused"))
            #expect(page.contains("No TCP connection."))
        }
        try await withServer(try bench.listener { $0.alpn = ["only"] }) { address in
            let output = await run(["probe", "\(address)", "--timeout", "60", "--report", file])
            #expect(output.status == .noHandshake)
            let page = try text(file)
            #expect(page.contains("alert 120 no_application_protocol"))
        }
    }

    @Test("a monitor's exit codes are its own, also with a page that cannot be written any more")
    func monitors() async throws {
        let directory = try TemporaryDirectory()
        let folder = directory.path + "/folder"
        try FileManager.default.createDirectory(
            atPath: folder,
            withIntermediateDirectories: false
        )
        let arguments = [
            "expiry", "\(try unusedAddress())", "--format", "nagios", "--report",
            folder + "/page.html",
        ]
        let output = await run(arguments)
        #expect(output.status.rawValue == NagiosStatus.critical.rawValue)
        #expect(output.text.hasPrefix("TLS CRITICAL"))
        #expect(try text(folder + "/page.html").contains("connection refused"))
        try await withServer(try listener(removing: folder)) { address in
            let output = await run(
                ["expiry", "\(address)", "--timeout", "60"] + arguments.dropFirst(2)
            )
            #expect(output.status.rawValue == NagiosStatus.unknown.rawValue)
            #expect(output.text.hasPrefix("TLS "))
            #expect(output.errors.contains("page.html cannot be written"))
        }
    }

    @Test("the demonstration has a page")
    func demonstration() async throws {
        let directory = try TemporaryDirectory()
        for format in ["text", "json"] {
            let file = directory.path + "/\(format).html"
            let output = await run(["demo", "--format", format, "--report", file])
            #expect(output.status == .clean)
            // What it shows is looked at in a browser (BrowserTests).
            #expect(try text(file).contains("<p class=\"kind\">tlsinspect demo</p>"))
        }
    }

    @Test("a page that cannot be written is wrong usage before anything is connected to")
    func unwritable() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path
        try FileManager.default.createDirectory(
            atPath: path + "/folder",
            withIntermediateDirectories: false
        )
        try "x".write(toFile: path + "/file", atomically: true, encoding: .utf8)
        let connections = Mutex(0)
        try await withServer(SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))) {
            socket in
            let number = connections.withLock { count in
                count += 1
                return count
            }
            try await socket.write([UInt8(number)])
            try await socket.close()
        } _: { address in
            for command in ["probe", "matrix", "scan", "expiry", "diff"] {
                let files = [
                    path + "/absent/page.html", "-", "", path + "/folder",
                    path + "/file/page.html", "/dev/null", "/proc/page.html",
                ]
                for file in files.prefix(command == "probe" ? 7 : 1) {
                    let arguments =
                        [command, "\(address)"] + (command == "diff" ? ["\(address)"] : [])
                        + ["--report", file]
                    let output = await run(arguments)
                    #expect(output.status == .usage, "\(file)")
                    #expect(output.text == "")
                    #expect(output.errors != "")
                    let json = await run(arguments + ["--format", "json"])
                    #expect(json.status == .usage)
                    let value = try JSONValue(parsing: json.text)
                    #expect(try JSONSchema.inspector().faults(of: value) == [])
                }
            }
            // Whoever comes now is the first.
            let number = try await withSocket(SocketInit(remote: address)) { try await $0.read() }
            #expect(number == [1])
        }
    }

    @Test("wrong usage leaves the page that was there as it was")
    func usage() async throws {
        let directory = try TemporaryDirectory()
        let file = directory.path + "/page.html"
        try "before".write(toFile: file, atomically: true, encoding: .utf8)
        for arguments in [
            ["probe", "a.test", "--ca", "/nonexistent"], ["probe"],
            ["matrix", "a.test", "--ca", "/nonexistent"],
            ["scan", "a.test", "--policy", "/nonexistent"], ["expiry", "--file", "/nonexistent"],
            ["diff", "a.test", "--baseline", "/nonexistent"],
        ] {
            let output = await run(arguments + ["--report", file])
            #expect(output.status == .usage)
            #expect(try text(file) == "before")
        }
    }

    @Test("a folder that goes while it inspects costs the page, not the result")
    func folderGone() async throws {
        let directory = try TemporaryDirectory()
        let folder = directory.path + "/folder"
        for format in ["text", "json"] {
            try FileManager.default.createDirectory(
                atPath: folder,
                withIntermediateDirectories: false
            )
            try await withServer(try listener(removing: folder)) { address in
                let output = await run([
                    "probe", "\(address)", "--timeout", "60", "--format", format, "--report",
                    folder + "/page.html",
                ])
                #expect(output.status == .usage)
                #expect(output.text.contains("TLS_AES_256_GCM_SHA384"))
                #expect(output.errors.contains("page.html cannot be written"))
            }
        }
    }
}

@Suite
struct AtomicFileTests {
    private func text(_ file: String) throws -> String {
        try String(contentsOfFile: file, encoding: .utf8)
    }

    @Test("a file is replaced whole, keeps its mode, and a link stays a link")
    func replacing() throws {
        let directory = try TemporaryDirectory()
        let (file, link) = (directory.path + "/a", directory.path + "/b")
        try AtomicFile(at: file).write("one")
        #expect(try text(file) == "one")
        let mode = unsafe chmod(file, 0o640)
        #expect(mode == 0)
        let linked = unsafe symlink("a", link)
        #expect(linked == 0)
        let open = try #require(FileHandle(forReadingAtPath: file))
        try AtomicFile(at: link).write("two")
        #expect(try text(file) == "two")
        // Who had it open has the old one, as a whole.
        #expect(try open.readToEnd() == Data("one".utf8))
        let facts = try FileManager.default.attributesOfItem(atPath: file)
        #expect(facts[.posixPermissions] as? Int == 0o640)
        let kind = try FileManager.default.attributesOfItem(atPath: link)[.type]
        #expect(kind as? FileAttributeType == .typeSymbolicLink)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).count == 2)
    }

    @Test("asking whether a file can be written changes nothing")
    func asking() throws {
        let directory = try TemporaryDirectory()
        _ = try AtomicFile(at: directory.path + "/new")
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
        let long = directory.path + "/" + String(repeating: "n", count: 300)
        #expect(throws: AtomicFile.Failure.self) { try AtomicFile(at: long) }
    }

    @Test(
        "words are quoted as a shell takes them",
        arguments: [
            ("a.test:443", "a.test:443"), ("h2,http/1.1", "h2,http/1.1"), ("?", "'?'"),
            ("it's", "'it'\\''s'"), ("", "''"), ("$(x) `y`", "'$(x) `y`'"), ("ü", "'ü'"),
        ]
    )
    func quoting(_ word: String, _ quoted: String) {
        #expect(PageDesk.quoted(word) == quoted)
    }
}
