// ClientHellos put together by hand: any suites, any extensions, true or lying.

import TLSEngine

/// What a ClientHello is put together from (RFC 8446 §4.1.2).
struct HelloRecipe {
    /// An extension by number and contents octets.
    typealias Part = (number: UInt16, contents: [UInt8])

    var version: UInt16 = 0x0303
    var random = [UInt8](repeating: 7, count: 32)
    var sessionID: [UInt8] = []
    var suites: [UInt16] = [0x1301]
    var compression: [UInt8] = [0]
    /// nil for a message without the field.
    var extensions: [Part]? = []

    /// The message behind its header.
    var body: [UInt8] {
        big(version) + random + short(sessionID) + long(suites.flatMap(big)) + short(compression)
            + (extensions.map { long($0.flatMap { big($0.number) + long($0.contents) }) } ?? [])
    }

    /// The message in one record.
    var records: [UInt8] { record(message(body)) }

    /// What the parser reads of it.
    func read() throws -> ClientHello? { try ClientHello(reading: records) }
}

/// A number in two bytes.
func big(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 255)] }

/// A vector behind one byte of length.
func short(_ bytes: [UInt8]) -> [UInt8] { [UInt8(bytes.count)] + bytes }

/// A vector behind two bytes of length.
func long(_ bytes: [UInt8]) -> [UInt8] { big(UInt16(bytes.count)) + bytes }

/// A ClientHello behind its header.
func message(_ body: [UInt8]) -> [UInt8] { [1, 0] + big(UInt16(body.count)) + body }

/// One record of a handshake.
func record(_ message: [UInt8]) -> [UInt8] { [22, 3, 1] + long(message) }

extension HelloRecipe {
    /// A servername (RFC 6066 §3).
    static func servername(_ name: String) -> Part { (0, long([0] + long(Array(name.utf8)))) }

    /// A list of numbers behind two bytes of length, as groups and signature algorithms are.
    static func numbers(_ number: UInt16, _ list: [UInt16]) -> Part {
        (number, long(list.flatMap(big)))
    }

    /// Protocol versions (RFC 8446 §4.2.1).
    static func versions(_ list: [UInt16]) -> Part { (43, short(list.flatMap(big))) }

    /// Application protocols (RFC 7301 §3.1).
    static func alpn(_ names: [String]) -> Part {
        alpn(bytes: names.map { Array($0.utf8) })
    }

    /// Application protocols that are no text.
    static func alpn(bytes names: [[UInt8]]) -> Part { (16, long(names.flatMap(short))) }
}
