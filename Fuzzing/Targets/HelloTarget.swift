// Target `hello`. Input: a flag and bytes, which are a connection's beginning as they are, the body of a
// ClientHello in one record, or the same in records of a few bytes.
// Passes when what is read is a prefix of the bytes, whole prefixes of it want more and nothing else, and
// what comes behind it changes nothing.

import TLSEngine

func fuzzHello(_ input: [UInt8]) {
    var script = ScriptReader(input)
    let flag = script.byte()
    let rest = script.rest()
    let bytes: [UInt8]
    switch flag & 3 {
    case 0, 1: bytes = rest
    case 2: bytes = records(of: message(rest), size: 16384)
    default: bytes = records(of: message(rest), size: 1 + Int(flag >> 2))
    }
    // Within a limit, too: refused or waiting, never read past it.
    let limit = Int(flag >> 2) * 16
    if let bounded = try? ClientHello(reading: bytes, limit: limit) {
        require(bounded.message.count <= limit + 4, "\(bounded.message.count) fit into \(limit)")
    }
    let hello: ClientHello
    do throws(TLSError) {
        guard let found = try ClientHello(reading: bytes) else { return note(1, bytes.count % 8) }
        hello = found
    } catch {
        require(error.phase == .clientHello, "\(error) belongs to the ClientHello")
        return note(2, error.detail?.utf8.count ?? 0)
    }
    note(3, min(hello.extensions.count, 8), min(hello.alpn.count, 4), hello.versions.count % 4)
    require(bytes.starts(with: hello.records), "the records stand in front")
    require(hello.random.count == 32, "a random has 32 bytes")
    require((try? ClientHello(reading: bytes + [0, 255])) == hello, "what follows changes nothing")
    require((try? ClientHello(reading: hello.records)) == hello, "the records alone are enough")
    for count in [0, 1, 5, hello.records.count / 2, hello.records.count - 1] {
        let prefix = Array(hello.records.prefix(min(count, hello.records.count - 1)))
        do throws(TLSError) {
            require(try ClientHello(reading: prefix) == nil, "\(count) bytes are not all")
        } catch {
            require(false, "\(count) bytes of a good one want more, and gave \(error)")
        }
    }
}

private func message(_ body: [UInt8]) -> [UInt8] {
    let count = body.count
    return [1, UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255)] + body
}

private func records(of message: [UInt8], size: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for start in stride(from: 0, to: message.count, by: size) {
        let piece = message[start..<min(start + size, message.count)]
        bytes += [22, 3, 1, UInt8(piece.count >> 8), UInt8(piece.count & 255)] + piece
    }
    return bytes
}

func helloSeeds(_ materials: Materials) throws -> [String: [UInt8]] {
    var seeds: [String: [UInt8]] = [:]
    for (number, alpn) in [[], ["h2"], ["h2", "http/1.1"]].enumerated() {
        let policy = TLSPolicy {
            $0.alpn = alpn
            if number == 1 { $0.maximumVersion = .tls12 }
        }
        let context = try TLSContext(role: .client, policy: policy, trust: materials.trust)
        var client = EngineUnderTest(try TLSEngine(context, remoteName: "a.test"))
        client.advance([])
        let bytes = client.takeOutput()
        seeds["seed-\(number)"] = [0] + bytes
        // Behind the record's header and the message's: a body that the target frames again.
        seeds["seed-body-\(number)"] = [UInt8(2 + number)] + bytes.dropFirst(9)
    }
    return seeds
}
