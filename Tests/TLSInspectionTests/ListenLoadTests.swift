// `listen --forward` as a process under load: what it holds while many are connected, what is left when
// they are gone, and what it does when it may have no more descriptors.

import CMemoryGauge
import Foundation
import Glibc
import Sockets
import TLSTestKit
import Testing
import ToolFixtures

@testable import TLSInspection

/// The tool as a process that listens.
private final class ListeningProcess {
    let address: SocketAddress
    private let process: Process
    private let ended: AsyncStream<Void>
    private let output: URL

    /// Starts it with a limit of descriptors.
    init(descriptors: Int, _ arguments: [String], in directory: String) async throws {
        output = URL(fileURLWithPath: directory + "/output")
        try Data().write(to: output)
        process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            ["bash", "-c", "ulimit -n \(descriptors); exec \"$@\"", "bash"]
            + [try ProcessRun.product("tlsinspect").path, "listen", "unix:\(directory)/in"]
            + arguments + ["--format", "jsonl"]
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardInput = FileHandle.nullDevice
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        self.ended = ended
        process.terminationHandler = { _ in end.finish() }
        try process.run()
        address = SocketAddress("unix:\(directory)/in", port: 0)
        try await until { try !Data(contentsOf: output).isEmpty || !process.isRunning }
        try #require(process.isRunning)
    }

    deinit { kill(process.processIdentifier, SIGKILL) }

    /// Its open descriptors.
    var descriptors: Int {
        let path = "/proc/\(process.processIdentifier)/fd"
        return (try? FileManager.default.contentsOfDirectory(atPath: path).count) ?? -1
    }

    /// Its memory that is resident, in KiB.
    var memory: Int {
        let path = "/proc/\(process.processIdentifier)/status"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line.flatMap { Int($0.filter(\.isNumber)) } ?? -1
    }

    /// Ends it, and gives its summary.
    func end() async throws -> JSONValue {
        kill(process.processIdentifier, SIGTERM)
        for await _ in ended {}
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
        let lines = try String(contentsOf: output, encoding: .utf8).split(separator: "\n")
        return try JSONValue(parsing: String(try #require(lines.last)))
    }
}

@Suite(.timeLimit(.minutes(3)))
struct ListenLoadTests {
    /// The descriptors that the process may have for itself beside those that it began with.
    private static let ownMax = 16
    /// The most that a connection that is held may take of the process's memory, in KiB.
    private static let heldKiBMax = 12

    private let hello = Cut.table[0].pieces[0]

    /// A backend that answers each piece with one byte.
    private func withBackend(
        in directory: String,
        _ body: (SocketAddress) async throws -> Void
    ) async throws {
        let place = SocketAddress("unix:\(directory)/backend", port: 0)
        try await withServer(SocketListenerInit(local: place)) { socket in
            while try await socket.read() != nil { try await socket.write("x") }
        } _: {
            try await body($0)
        }
    }

    /// Opens connections, and says a hello on each.
    private func open(_ count: Int, _ address: SocketAddress) async throws -> [Socket] {
        var all: [Socket] = []
        for _ in 0..<count {
            let socket = try Socket(SocketInit(remote: address))
            try await socket.write(hello)
            all.append(socket)
        }
        for socket in all { #expect(try await socket.read() == Array("x".utf8)) }
        return all
    }

    @Test("waves of a thousand held connections carry data, and leave no memory and no descriptor")
    func waves() async {
        // In a process of its own: with so many descriptors here, other tests could start no process.
        await #expect(processExitsWith: .success) {
            try await ListenLoadTests().expectFlatWaves()
        }
    }

    fileprivate func expectFlatWaves() async throws {
        let directory = try TemporaryDirectory()
        try await withBackend(in: directory.path) { backend in
            let tool = try await ListeningProcess(
                descriptors: 4096,
                ["--forward", "*=\(backend)"],
                in: directory.path
            )
            let idle = tool.descriptors + Self.ownMax
            // A sanitizer's books are in its memory, too; what is left behind its own gate tells.
            let isSanitized = is_sanitized() != 0
            // What is allocated once is not counted.
            for socket in try await open(100, tool.address) { try await socket.close() }
            try await until { tool.descriptors <= idle }
            let before = tool.memory
            var after: [Int] = []
            for _ in 0..<3 {
                let held = try await open(1000, tool.address)
                #expect((2000...(2000 + idle)).contains(tool.descriptors))
                #expect(isSanitized || tool.memory - before < 1000 * Self.heldKiBMax)
                for socket in held { try await socket.write("again") }
                for socket in held { #expect(try await socket.read() == Array("x".utf8)) }
                for socket in held { try await socket.close() }
                try await until { tool.descriptors <= idle }
                after.append(tool.memory)
            }
            // The first wave's memory is used again by the others.
            #expect(isSanitized || after[2] - after[0] < 2048, "\(before) \(after) KiB")
            let summary = try await tool.end()
            #expect(summary["forwarded"]?.number == 3100 && summary["unshown"]?.number == 0)
        }
    }

    @Test("where descriptors are few, connections wait in the kernel, and each has its turn")
    func fewDescriptors() async throws {
        let directory = try TemporaryDirectory()
        try await withBackend(in: directory.path) { backend in
            // Eight connections at once, beside what the process has for itself.
            let tool = try await ListeningProcess(
                descriptors: 80,
                ["--forward", "*=\(backend)"],
                in: directory.path
            )
            let served = try await serveMany(40, tool.address)
            #expect(served == 40)
            let summary = try await tool.end()
            #expect(summary["forwarded"]?.number == 40 && summary["undelivered"]?.number == 0)
        }
    }

    /// Connects so often at once, and says how many were answered.
    private func serveMany(_ count: Int, _ address: SocketAddress) async throws -> Int {
        let hello = hello
        return try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<count {
                group.addTask {
                    try await withSocket(SocketInit(remote: address)) { socket in
                        try await socket.write(hello)
                        return try await socket.read() == Array("x".utf8) ? 1 : 0
                    }
                }
            }
            return try await group.reduce(0, +)
        }
    }
}
