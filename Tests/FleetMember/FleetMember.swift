// One process of a fleet, for tests that kill it. It shares nothing with the others but a directory:
//
//     secret            what ticket keys are derived from
//     sessions/         what sessions are kept in, if they are
//     <number>.ready    its process id and port, as soon as it listens
//     <number>.log      what it applied, a line each, before it acknowledges it
//
// It ends by itself when its standard input does: when whoever started it has gone.

import Foundation
import Glibc
import Sockets

@main
enum FleetMember {
    /// Arguments: the directory, the number, and `tickets` or `store`.
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4 else { exit(2) }
        endWithInput()
        let (directory, number) = (arguments[1], arguments[2])
        let options = try SocketListenerInit(type: .tls, local: .init("127.0.0.1", port: 0)) {
            $0.identity = try TLSIdentity(
                certificateFile: directory + "/certificate.pem",
                privateKeyFile: directory + "/key.pem"
            )
            $0.ticketKeys = try TicketKeySource.file(directory + "/secret")
            if arguments[3] == "store" {
                let store = DirectoryStore(path: directory + "/sessions")
                $0.sessionStore = ServerSessionKeeping(store) { failure in
                    FileHandle.standardError.write(Data("\(failure)\n".utf8))
                }
            }
        }
        let listener = try SocketListener(options)
        let log = try FileLog(path: "\(directory)/\(number).log")
        try place(
            Array("\(getpid()) \(listener.localAddress.port)".utf8),
            at: "\(directory)/\(number).ready"
        )
        try await listener.serve(maxConcurrent: 200) { socket in
            guard let request = try await line(of: socket) else { return }
            try log.append(request)
            let resumed = socket.info?.resumed == true ? "resumed" : "full"
            let answer = "done \(request) \(resumed) by \(number)\n"
            let head = "HTTP/1.0 200 OK\r\nContent-Length: \(answer.utf8.count)\r\n\r\n"
            try await socket.write((request.hasPrefix("GET ") ? head : "") + answer)
        }
    }

    private static func endWithInput() {
        Thread.detachNewThread {
            var byte: UInt8 = 0
            while unsafe read(0, &byte, 1) > 0 {}
            exit(0)
        }
    }

    /// Reads up to a line's end; nil when the stream ends before.
    private static func line(of socket: Socket) async throws -> String? {
        var bytes: [UInt8] = []
        while let more = try await socket.read() {
            bytes += more
            guard let end = bytes.firstIndex(of: 10) else { continue }
            return String(decoding: bytes[..<end].filter { $0 != 13 }, as: UTF8.self)
        }
        return nil
    }
}

/// Writes a file that nobody sees before it is whole.
private func place(_ bytes: [UInt8], at path: String) throws {
    let other = path + ".new-\(getpid())"
    try Data(bytes).write(to: URL(fileURLWithPath: other))
    guard unsafe rename(other, path) == 0 else { throw CocoaError(.fileWriteUnknown) }
}

/// A file to which lines are appended, each by one system call: what was written is the kernel's when the
/// process is killed.
private final class FileLog: Sendable {
    private let descriptor: Int32

    init(path: String) throws {
        descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw CocoaError(.fileWriteUnknown) }
    }

    func append(_ line: String) throws {
        let bytes = Array((line + "\n").utf8)
        guard unsafe write(descriptor, bytes, bytes.count) == bytes.count else {
            throw CocoaError(.fileWriteUnknown)
        }
    }
}

/// A store of sessions that processes share: a directory, in which each session is a file.
private struct DirectoryStore: ServerSessionStore {
    let path: String

    private func file(_ id: [UInt8]) -> String {
        path + "/" + id.map { String($0, radix: 16) }.joined(separator: "-")
    }

    func session(_ id: [UInt8]) -> [UInt8]? {
        FileManager.default.contents(atPath: file(id)).map { Array($0) }
    }

    func takeSession(_ id: [UInt8]) -> [UInt8]? {
        // Of several that rename a file, one succeeds.
        let mine = file(id) + ".taken-\(getpid())"
        guard unsafe rename(file(id), mine) == 0 else { return nil }
        defer { _ = unsafe unlink(mine) }
        return FileManager.default.contents(atPath: mine).map { Array($0) }
    }

    func keepSession(_ session: [UInt8], _ id: [UInt8], until end: UnixTime) throws {
        try place(session, at: file(id))
    }

    func forgetSession(_ id: [UInt8]) { _ = unsafe unlink(file(id)) }
}
