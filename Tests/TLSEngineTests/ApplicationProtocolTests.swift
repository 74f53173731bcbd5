import Testing

@testable import TLSEngine

@Suite
struct ApplicationProtocolTests {
    /// The server's choice by name.
    func choice(_ preferences: [String], _ offer: [UInt8]) throws -> String? {
        let wire = try ApplicationProtocolList.wireForm(of: preferences, limit: 1024)
        return unsafe offer.withUnsafeBufferPointer { buffer in
            unsafe ApplicationProtocolList.choose(from: wire, offer: buffer).map {
                String(decoding: offer[$0], as: UTF8.self)
            }
        }
    }

    @Test("a list is written as lengths and names (RFC 7301 §3.1)")
    func wireForm() throws {
        let wire = try ApplicationProtocolList.wireForm(of: ["h2", "é"], limit: 1024)
        #expect(wire == [2, 0x68, 0x32, 2, 0xc3, 0xa9])
        #expect(try ApplicationProtocolList.wireForm(of: [], limit: 0).isEmpty)
    }

    @Test(
        "a name that cannot be written is refused",
        arguments: [[""], ["h2", ""], [String(repeating: "a", count: 256)], ["h2", "h3", "h2"]]
    )
    func refusal(_ names: [String]) {
        #expect(throws: TLSError(.invalidApplicationProtocol)) {
            try ApplicationProtocolList.wireForm(of: names, limit: 65535)
        }
    }

    @Test("a name of 255 bytes is written, and a list at its limit, and none past it")
    func limits() throws {
        let longest = String(repeating: "a", count: 255)
        #expect(try ApplicationProtocolList.wireForm(of: [longest], limit: 256).count == 256)
        #expect(throws: TLSError(.invalidApplicationProtocol)) {
            try ApplicationProtocolList.wireForm(of: [longest], limit: 255)
        }
    }

    @Test("the server's order decides, and a name is matched whole")
    func choosing() throws {
        let offer = try ApplicationProtocolList.wireForm(
            of: ["h2c", "http/1.1", "h2"],
            limit: 1024
        )
        #expect(try choice(["h2", "http/1.1"], offer) == "h2")
        #expect(try choice(["http/1.1", "h2"], offer) == "http/1.1")
        #expect(try choice(["h"], offer) == nil)
        #expect(try choice(["h2cx"], offer) == nil)
        #expect(try choice([], offer) == nil)
        #expect(try choice(["h2"], []) == nil)
    }

    @Test("a malformed offer is read as far as it goes, and never past its end")
    func malformed() throws {
        #expect(try choice(["h2"], [2, 0x68]) == nil)
        #expect(try choice(["h2"], [2]) == nil)
        #expect(try choice(["h2"], [255]) == nil)
        #expect(try choice(["h2"], [0, 2, 0x68, 0x32]) == "h2")
        #expect(try choice(["h2"], [2, 0x68, 0x32, 9, 0x68]) == "h2")
        #expect(try choice(["h2"], [9, 2, 0x68, 0x32]) == nil)
    }
}
