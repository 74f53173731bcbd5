// Target `hello`. Input: a flag and bytes, which are a connection's beginning as they are, the body of a
// ClientHello in one record, or the same in records of a few bytes.
// Passes when what is read is a prefix of the bytes, whole prefixes of it want more and nothing else,
// what comes behind it changes nothing, the fields written again are the message, OpenSSL shows the same
// of what both read, and fingerprints have their form.

import TLSEngine
import TLSTestKit

func fuzzHello(_ input: [UInt8]) {
    var script = ScriptReader(input)
    let flag = script.byte()
    let rest = script.rest()
    let bytes: [UInt8]
    switch flag & 3 {
    case 0, 1: bytes = rest
    case 2: bytes = records(of: framed(rest), size: 16384)
    default: bytes = records(of: framed(rest), size: 1 + Int(flag >> 2))
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
        require(error.detail?.utf8.count ?? 0 < 120, "\(error) says no more than it has to")
        return note(2, error.detail?.utf8.count ?? 0)
    }
    note(3, min(hello.extensions.count, 8), min(hello.alpn.count, 4), hello.versions.count % 4)
    require(bytes.starts(with: hello.records), "the records stand in front")
    require(hello.random.count == 32, "a random has 32 bytes")
    require((try? ClientHello(reading: bytes + [0, 255])) == hello, "what follows changes nothing")
    require((try? ClientHello(reading: hello.records)) == hello, "the records alone are enough")
    checkMeaning(of: hello)
    for count in [0, 1, 5, hello.records.count / 2, hello.records.count - 1] {
        let prefix = Array(hello.records.prefix(min(count, hello.records.count - 1)))
        do throws(TLSError) {
            require(try ClientHello(reading: prefix) == nil, "\(count) bytes are not all")
        } catch {
            require(false, "\(count) bytes of a good one want more, and gave \(error)")
        }
    }
}

/// What holds for everything that was read.
private func checkMeaning(of hello: ClientHello) {
    let bare = try? ClientHello(message: hello.message)
    require(bare?.extensions == hello.extensions, "the message alone says the same")
    for entry in hello.extensions {
        guard let written = entry.value.written(as: entry.number) else { continue }
        require(written == entry.contents, "\(entry.type) is \(entry.value)")
    }
    require(hello.written == hello.message, "the fields are the message")
    if case .read(let view) = try? OpenSSLClientHello.read(hello.records) {
        require(view.isSame(as: hello), "OpenSSL shows the same")
    }
    let ja4 = Array(hello.ja4.utf8)
    require(ja4.count == 36 && ja4[10] == 0x5f && ja4[23] == 0x5f, "\(hello.ja4) has its form")
    require(ja4.allSatisfy { (0x21...0x7e).contains($0) }, "\(hello.ja4) can be printed")
    require(hello.ja4Raw.utf8.count <= 3 * hello.message.count + 16, "the raw form is bounded")
    require(hello.ja3Text.utf8.count <= 3 * hello.message.count + 16, "the text of JA3 is bounded")
    require(hello.ja3?.utf8.count ?? 32 == 32, "JA3 has its form")
}

private func big(_ number: Int) -> [UInt8] { [UInt8(number >> 8 & 255), UInt8(number & 255)] }

private func big(_ number: UInt16) -> [UInt8] { big(Int(number)) }

private func short(_ bytes: [UInt8]) -> [UInt8] { [UInt8(bytes.count & 255)] + bytes }

private func long(_ bytes: [UInt8]) -> [UInt8] { big(bytes.count) + bytes }

extension ClientHello {
    /// The message, written again from what was read of it.
    fileprivate var written: [UInt8] {
        var body = big(legacyVersion.rawValue) + random + short(sessionID)
        body += long(cipherSuites.flatMap { big($0) }) + short(compressionMethods)
        // A message may end here; one with an empty list of extensions is not told from it.
        let isWithout = message.count == body.count + 4
        if !isWithout { body += long(extensions.flatMap { big($0.number) + long($0.contents) }) }
        return framed(body)
    }
}

extension ClientHello.Extension.Value {
    /// The contents octets, written again; nil for what is not kept whole.
    fileprivate func written(as number: UInt16) -> [UInt8]? {
        switch self {
        case .present: []
        case .maximumFragmentLength(let count): [UInt8(count.trailingZeroBitCount - 8)]
        case .groups(let list): long(list.flatMap { big($0.rawValue) })
        case .signatureAlgorithms(let list): long(list.flatMap { big($0.rawValue) })
        case .versions(let list): short(list.flatMap { big($0.rawValue) })
        case .pointFormats(let list), .keyExchangeModes(let list), .codes(let list): short(list)
        case .srtp(let profiles, let key): long(profiles.flatMap { big($0) }) + short(key)
        case .heartbeat(let isWelcome): [isWelcome ? 1 : 2]
        case .applicationProtocols(let names): long(names.flatMap { short($0) })
        case .tokenBinding(let version, let keys): big(version) + short(keys)
        case .cachedObjects(let list): long(list.flatMap { [$0.type] + short($0.digest) })
        case .certificateCompression(let list): short(list.flatMap { big($0) })
        case .recordSizeLimit(let limit): big(limit)
        case .certificateAuthorities(let names): long(names.flatMap { long($0) })
        case .keyShares(let shares):
            long(shares.flatMap { big($0.group.rawValue) + long($0.keyExchange) })
        case .ticketRequest(let new, let resumed): [UInt8(new), UInt8(resumed)]
        case .dnssecChain(let port): big(port)
        case .opaque(let bytes): number == 44 ? long(bytes) : short(bytes)
        default: nil
        }
    }
}

private func framed(_ body: [UInt8]) -> [UInt8] {
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
