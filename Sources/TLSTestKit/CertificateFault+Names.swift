// Faults of names: another host, names where they do not count, names that are none.

internal import TLSEngine

extension CertificateFault {
    static let nameFaults = [
        wrongHost, wrongIP, ipInDNSName, hostInIPName, noSAN, cnNotInSAN, emptySubject,
        upperCase, punycode, uLabel, uLabelBeside, trailingDot, underscore, nulInName, nulBeside,
        emptyDNSName, spaceInName, manyNames, uriOnly, mappedAddress,
    ]

    /// For another host (`X509_V_ERR_HOSTNAME_MISMATCH`).
    public static let wrongHost = CertificateFault(
        leaf: "wrongHost",
        "the leaf is for another host",
        code: 62
    ) { $0 = .server(["wrong-host.invalid"]) }

    /// For another address (`X509_V_ERR_IP_ADDRESS_MISMATCH`).
    public static let wrongIP = CertificateFault(
        leaf: "wrongIP",
        "the leaf is for another address",
        code: 64,
        host: { _ in "127.0.0.1" }
    ) { $0 = .server(["127.0.0.2"]) }

    /// The address written as a DNS name.
    public static let ipInDNSName = CertificateFault(
        leaf: "ipInDNSName",
        "the address stands in a DNS name",
        code: 64,
        host: { _ in "127.0.0.1" }
    ) { $0 = .server([.dns("127.0.0.1")]) }

    /// The host's name in an iPAddress entry, as its letters.
    public static let hostInIPName = CertificateFault(
        leaf: "hostInIPName",
        "the DNS name stands in an address",
        code: 62
    ) { recipe in
        let letters = recipe.names.map { Array($0.description.utf8) }
        recipe.names = letters.map { .raw(tag: 7, contents: $0) }
    }

    /// The host only as common name.
    public static let noSAN = CertificateFault(
        leaf: "noSAN",
        "the host is only the common name",
        code: 62
    ) { $0.names = [] }

    /// The host as common name, and another one as alternative name.
    public static let cnNotInSAN = CertificateFault(
        leaf: "cnNotInSAN",
        "the common name is not among the alternative names",
        code: 62
    ) { $0.names = ["wrong-host.invalid"] }

    /// No subject, and critical alternative names: legal (RFC 5280 §4.2.1.6).
    public static let emptySubject = CertificateFault(
        leaf: "emptySubject",
        "the subject is empty, the names are critical",
        code: 0
    ) { $0.subject = [] }

    /// The host in capitals, which DNS does not tell apart.
    public static let upperCase = CertificateFault(
        leaf: "upperCase",
        "the name is in capitals",
        code: 0
    ) { recipe in
        recipe.names = recipe.names.map { .dns($0.description.uppercased()) }
    }

    /// An internationalised name in A-labels, as it should be.
    public static let punycode = CertificateFault(
        leaf: "punycode",
        "an internationalised name in A-labels",
        code: 0,
        host: { "xn--bcher-kva." + $0 }
    ) { recipe in
        recipe.names = recipe.names.map { .dns("xn--bcher-kva.\($0)") }
    }

    /// An internationalised name in UTF-8, where A-labels belong.
    public static let uLabel = CertificateFault(
        leaf: "uLabel",
        "an internationalised name in UTF-8",
        code: 62,
        host: { "xn--bcher-kva." + $0 }
    ) { recipe in
        recipe.names = recipe.names.map {
            .raw(tag: 2, contents: Array("bücher.\($0)".utf8))
        }
    }

    /// The right name, and one in UTF-8 beside it.
    public static let uLabelBeside = CertificateFault(
        leaf: "uLabelBeside",
        "a name in UTF-8 stands beside the right one",
        code: 0,
        .refused(.nameNotInALabels)
    ) { $0.names.append(.raw(tag: 2, contents: Array("bücher.test".utf8))) }

    /// The root's dot written out, which names in certificates do not have.
    public static let trailingDot = CertificateFault(
        leaf: "trailingDot",
        "the name ends in a dot",
        code: 62
    ) { recipe in
        recipe.names = recipe.names.map { .dns("\($0).") }
    }

    /// An underscore, which no host name has and many have.
    public static let underscore = CertificateFault(
        leaf: "underscore",
        "the name has an underscore",
        code: 0,
        host: { "under_score." + $0 }
    ) { recipe in
        recipe.names = recipe.names.map { .dns("under_score.\($0)") }
    }

    /// The host, a NUL and another domain: what C programs once took for the host.
    public static let nulInName = CertificateFault(
        leaf: "nulInName",
        "a NUL ends the name early",
        code: 62
    ) { recipe in
        recipe.names = recipe.names.map { .dns("\($0)\0.invalid") }
    }

    /// The right name, and one with a NUL beside it.
    public static let nulBeside = CertificateFault(
        leaf: "nulBeside",
        "a name with a NUL stands beside the right one",
        code: 0,
        .refused(.nameNotInALabels)
    ) { $0.names.append(.dns("b.test\0.invalid")) }

    /// A DNS name of no characters.
    public static let emptyDNSName = CertificateFault(
        leaf: "emptyDNSName",
        "the name is empty",
        code: 62
    ) { $0.names = [.dns("")] }

    /// Spaces around the host.
    public static let spaceInName = CertificateFault(
        leaf: "spaceInName",
        "the name has spaces around it",
        code: 62
    ) { recipe in
        recipe.names = recipe.names.map { .dns(" \($0) ") }
    }

    /// Ten thousand names, the host last: 70 KB.
    public static let manyNames = CertificateFault(
        leaf: "manyNames",
        "10,000 names, the host last",
        code: 0
    ) { recipe in
        let others = (0..<10_000).map { SubjectName.dns(String($0, radix: 36) + ".b") }
        recipe.names = others + recipe.names
    }

    /// The host only inside a URI.
    public static let uriOnly = CertificateFault(
        leaf: "uriOnly",
        "the host stands only in a URI",
        code: 62
    ) { recipe in
        recipe.names = recipe.names.map { .uri("https://\($0)/") }
    }

    /// An IPv4 address written as IPv6, for the IPv4 address.
    public static let mappedAddress = CertificateFault(
        leaf: "mappedAddress",
        "an IPv4 address in its IPv6 form",
        code: 64,
        host: { _ in "127.0.0.1" }
    ) { $0 = .server([.ip("::ffff:127.0.0.1")]) }
}
