// TLSA records as text and bytes: what is read, written and refused, and which can be used.

import TLSEngine
import TLSTestKit
import Testing

@Suite struct TLSARecordTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    @Test("a record is read as zone files write it, with spaces anywhere between the digits")
    func text() throws {
        let record = try TLSARecord("3 1 1 0C72AC70 b745ac19\t998811B1")
        #expect(record.usage == .daneEE && record.selector == .publicKey)
        #expect(record.matching == .sha256)
        #expect(
            record.bytes == [
                0x0c, 0x72, 0xac, 0x70, 0xb7, 0x45, 0xac, 0x19, 0x99, 0x88, 0x11, 0xb1,
            ]
        )
        #expect(record.description == "3 1 1 0c72ac70b745ac19998811b1")
        #expect(try TLSARecord(record.description) == record)
        #expect(try TLSARecord(wire: record.wireForm) == record)
        #expect(record.wireForm.prefix(4) == [3, 1, 1, 0x0c])
    }

    @Test(
        "any other form is refused",
        arguments: [
            "", "3", "3 1", "3 1 1", "3 1 1 0", "3 1 1 0g", "3 1 1 0x0c", "256 1 1 0c", "-1 1 1 0c",
            "+3 1 1 0c", "a 1 1 0c", "3 1 1 0c:72", "3,1,1 0c", "３ 1 1 0c",
        ]
    )
    func malformed(text: String) {
        let error = #expect(throws: TLSError.self) { try TLSARecord(text) }
        #expect(error == TLSError(.invalidTLSARecord))
        #expect(error?.category == .local && error?.hint != nil)
    }

    @Test("bytes that are too few for a record are refused", arguments: 0...3)
    func short(count: Int) {
        #expect(throws: TLSError(.invalidTLSARecord)) {
            try TLSARecord(wire: [UInt8](repeating: 1, count: count))
        }
    }

    @Test("a record whose numbers are unknown, or whose data has another size, cannot be used")
    func usable() throws {
        let root = fixtures.root
        for usage in [UInt8](0...3).map(TLSARecord.Usage.init(rawValue:)) {
            for selector in [TLSARecord.Selector.certificate, .publicKey] {
                for matching in [TLSARecord.Matching.full, .sha256, .sha512] {
                    let record = TLSARecord(
                        usage: usage,
                        selector: selector,
                        matching: matching,
                        of: root
                    )
                    #expect(record.isUsable && record.matches(root), "\(record)")
                    for bytes in [record.bytes + [0], Array(record.bytes.dropLast()), []] {
                        var other = record
                        other.bytes = bytes
                        #expect(!other.isUsable && !other.matches(root), "\(other)")
                    }
                    var other = record
                    other.bytes[other.bytes.count - 1] ^= 1
                    #expect(!other.matches(root))
                }
            }
        }
        let good = TLSARecord(usage: .daneEE, of: root)
        for change in [
            { $0.usage = .init(rawValue: 4) }, { $0.usage = .init(rawValue: 255) },
            { $0.selector = .init(rawValue: 2) }, { $0.matching = .init(rawValue: 3) },
        ] as [(inout TLSARecord) -> Void] {
            var record = good
            change(&record)
            #expect(!record.isUsable && !record.matches(root))
            #expect(try TLSARecord(record.description) == record)
        }
        // A number that nobody knows makes no record of something else.
        let made = TLSARecord(usage: .daneEE, matching: .init(rawValue: 9), of: root)
        #expect(made.matching == .sha256 && made.isUsable)
    }

    @Test("the data is what openssl makes of the certificate and its key")
    func association() throws {
        let issued = try fixtures.ca.issue("a.test")
        let leaf = try Certificate(der: issued.certificateDER)
        let pem = Array(issued.certificatePEM.utf8)
        let key = try openSSL("x509", "-noout", "-pubkey", input: pem)
        let der = try openSSL("pkey", "-pubin", "-outform", "DER", input: key)
        for (matching, name) in [(TLSARecord.Matching.sha256, "-sha256"), (.sha512, "-sha512")] {
            let ofKey = TLSARecord(usage: .daneEE, matching: matching, of: leaf)
            #expect(ofKey.bytes == (try openSSL("dgst", name, "-binary", input: der)))
            let ofAll = TLSARecord(
                usage: .daneEE,
                selector: .certificate,
                matching: matching,
                of: leaf
            )
            let digest = try openSSL("dgst", name, "-binary", input: issued.certificateDER)
            #expect(ofAll.bytes == digest)
        }
        #expect(TLSARecord(usage: .daneEE, matching: .full, of: leaf).bytes == der)
    }
}
