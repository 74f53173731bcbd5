// As much of HTTP/1.1 as a row needs: one message with a length, either way (RFC 9112 §6.3).

import Sockets

/// A request or an answer.
struct HTTPMessage: Sendable {
    /// The request line or the status line.
    var start: String
    /// The fields, by name in lower case.
    var fields: [String: String] = [:]
    var body: [UInt8] = []
    /// Whether it asks for the connection to end behind it.
    var endsConnection = true

    static func get(_ path: String) -> HTTPMessage {
        HTTPMessage(start: "GET \(path) HTTP/1.1")
    }

    static func put(_ path: String, _ body: [UInt8]) -> HTTPMessage {
        HTTPMessage(start: "PUT \(path) HTTP/1.1", body: body)
    }

    static func answer(_ status: Int, _ body: [UInt8]) -> HTTPMessage {
        HTTPMessage(start: "HTTP/1.1 \(status) Because", body: body)
    }

    /// The second word of a status line as a number.
    var status: Int? {
        start.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    }

    /// The body as text.
    var text: String { String(decoding: body, as: UTF8.self) }

    /// The message as it goes over the wire.
    var bytes: [UInt8] {
        var head = "\(start)\r\nHost: \(Authorities.host)\r\n"
        if endsConnection { head += "Connection: close\r\n" }
        for (name, value) in fields { head += "\(name): \(value)\r\n" }
        head += "Content-Length: \(body.count)\r\n\r\n"
        return Array(head.utf8) + body
    }

    /// Receives one message.
    init(from socket: Socket) async throws {
        var bytes: [UInt8] = []
        let end = Array("\r\n\r\n".utf8)
        var bodyStart: Int?
        while bodyStart == nil {
            guard let piece = try await socket.read() else {
                throw ForeignFailure(description: "the stream ended in the head of a message")
            }
            let from = max(0, bytes.count - 3)
            bytes += piece
            bodyStart = bytes.indices.dropFirst(from).dropLast(3)
                .first { bytes[$0..<($0 + 4)].elementsEqual(end) }.map { $0 + 4 }
        }
        let head = bytes[..<(bodyStart ?? 0)]
        let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
        start = lines.first.map(String.init) ?? ""
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            fields[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
        }
        body = Array(bytes[(bodyStart ?? 0)...])
        let length = fields["content-length"].flatMap { Int($0) } ?? 0
        body += try await socket.read(exactly: length - body.count)
    }

    init(start: String, body: [UInt8] = []) {
        self.start = start
        self.body = body
    }

    /// Sends a request and receives the answer, and the end behind it.
    static func exchange(
        _ request: HTTPMessage,
        on socket: Socket,
        inPiecesOf piece: Int = 1 << 20
    ) async throws -> HTTPMessage {
        try await socket.write(request.bytes, inPiecesOf: piece)
        let answer = try await HTTPMessage(from: socket)
        let rest = try await socket.readToEnd()
        guard rest.isEmpty else {
            throw ForeignFailure(description: "\(rest.count) bytes behind the end of a message")
        }
        return answer
    }
}
