// As much of HTTP/1.1 as a responder and a page need: one request a connection, with bounds.

import Sockets

/// A request (RFC 9112 §3).
struct HTTPRequest: Sendable, Hashable {
    /// The most bytes of the request line and the fields.
    static let headBytesMax = 16 << 10
    /// The most bytes of the body.
    static let bodyBytesMax = 64 << 10

    var method: String
    /// The target as it came, for example `/path`.
    var target: String
    /// Field names in lower case; a field that comes twice counts once.
    var fields: [String: String]
    var body: [UInt8] = []

    /// Reads a request at the front of bytes; nil when more is needed.
    ///
    /// - Parameter bytes: What came so far.
    /// - Throws: `Malformed`.
    init?(reading bytes: [UInt8]) throws(Malformed) {
        guard let end = HTTPRequest.endOfHead(bytes) else {
            guard bytes.count < HTTPRequest.headBytesMax else { throw Malformed() }
            return nil
        }
        let head = String(decoding: bytes[..<end], as: UTF8.self)
        // A carriage return and a line feed are one character.
        var lines = head.split(separator: "\r\n").makeIterator()
        let words = (lines.next() ?? "").split(separator: " ")
        guard words.count == 3, words[2].hasPrefix("HTTP/1.") else { throw Malformed() }
        (method, target) = (String(words[0]), String(words[1]))
        fields = [:]
        while let line = lines.next() {
            guard let colon = line.firstIndex(of: ":") else { throw Malformed() }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            fields[line[..<colon].lowercased()] = String(value)
        }
        let rest = bytes[end...]
        guard let length = Int(fields["content-length"] ?? "0"),
            (0...HTTPRequest.bodyBytesMax).contains(length)
        else { throw Malformed() }
        guard rest.count >= length else { return nil }
        body = Array(rest.prefix(length))
    }

    /// It is no request, or larger than the bounds.
    struct Malformed: Error {}

    /// Where the empty line ends.
    private static func endOfHead(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        return (4...bytes.count).first { bytes[($0 - 4)..<$0].elementsEqual([13, 10, 13, 10]) }
    }
}

/// An answer to a request.
struct HTTPAnswer: Sendable, Hashable {
    var status = 200
    var type = "text/html; charset=utf-8"
    var body: [UInt8] = []
    /// Whether the second half of the body is never sent.
    var isCut = false

    /// The answer as it travels.
    var bytes: [UInt8] {
        let head = """
            HTTP/1.1 \(status) \(reason)\r
            Content-Type: \(type)\r
            Content-Length: \(body.count)\r
            Cache-Control: no-store\r
            Connection: close\r
            \r

            """
        return Array(head.utf8) + body
    }

    private var reason: String {
        switch status {
        case 200: "OK"
        case 400: "Bad Request"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        default: status < 500 ? "Refused" : "Server Error"
        }
    }
}

extension Socket {
    /// Reads one request over a plain connection.
    ///
    /// - Returns: Nil when the client ends before it is whole.
    func readRequest() async throws -> HTTPRequest? {
        var bytes: [UInt8] = []
        while true {
            guard let more = try await read() else { return nil }
            bytes += more
            if let request = try HTTPRequest(reading: bytes) { return request }
        }
    }
}
