// Faults of wildcards: only a whole leftmost label stands for exactly one label (RFC 9525 §6.3).

internal import TLSEngine

extension CertificateFault {
    static let wildcardFaults = [
        wildcard, wildcardAlone, wildcardTopLevel, wildcardInMiddle, wildcardPartial,
        wildcardTwoLevels, wildcardParent, wildcardForIP, wildcardDouble, wildcardInALabel,
    ]

    /// A wildcard for the label that is there: right.
    public static let wildcard = CertificateFault(
        leaf: "wildcard",
        "`*.a.test` for `b.a.test`",
        code: 0,
        host: { "b." + $0 }
    ) { $0.names = $0.names.map { .dns("*.\($0)") } }

    /// A wildcard for everything.
    public static let wildcardAlone = CertificateFault(
        leaf: "wildcardAlone",
        "`*` for `a.test`",
        code: 62
    ) { $0.names = [.dns("*")] }

    /// A wildcard for a whole top-level domain.
    public static let wildcardTopLevel = CertificateFault(
        leaf: "wildcardTopLevel",
        "`*.test` for `a.test`",
        code: 62,
        host: { topLevel(of: $0, "a") }
    ) { $0.names = $0.names.map { .dns(topLevel(of: $0.description, "*")) } }

    /// A wildcard that is not the leftmost label.
    public static let wildcardInMiddle = CertificateFault(
        leaf: "wildcardInMiddle",
        "`c.*.a.test` for `c.b.a.test`",
        code: 62,
        host: { "c.b." + $0 }
    ) { $0.names = $0.names.map { .dns("c.*.\($0)") } }

    /// A wildcard for a part of a label, which OpenSSL takes unless told otherwise.
    public static let wildcardPartial = CertificateFault(
        leaf: "wildcardPartial",
        "`f*.a.test` for `foo.a.test`",
        code: 0,
        .refused(.hostnameMismatch),
        host: { "foo." + $0 }
    ) { $0.names = $0.names.map { .dns("f*.\($0)") } }

    /// A wildcard for two labels.
    public static let wildcardTwoLevels = CertificateFault(
        leaf: "wildcardTwoLevels",
        "`*.a.test` for `c.b.a.test`",
        code: 62,
        host: { "c.b." + $0 }
    ) { $0.names = $0.names.map { .dns("*.\($0)") } }

    /// A wildcard for no label.
    public static let wildcardParent = CertificateFault(
        leaf: "wildcardParent",
        "`*.a.test` for `a.test`",
        code: 62
    ) { $0.names = $0.names.map { .dns("*.\($0)") } }

    /// A wildcard for an address.
    public static let wildcardForIP = CertificateFault(
        leaf: "wildcardForIP",
        "`*.0.0.1` for 127.0.0.1",
        code: 64,
        host: { _ in "127.0.0.1" }
    ) { $0.names = [.dns("*.0.0.1")] }

    /// Two wildcards.
    public static let wildcardDouble = CertificateFault(
        leaf: "wildcardDouble",
        "`*.*.a.test` for `c.b.a.test`",
        code: 62,
        host: { "c.b." + $0 }
    ) { $0.names = $0.names.map { .dns("*.*.\($0)") } }

    /// A wildcard inside an A-label.
    public static let wildcardInALabel = CertificateFault(
        leaf: "wildcardInALabel",
        "`xn--*.a.test` for an internationalised name",
        code: 62,
        host: { "xn--bcher-kva." + $0 }
    ) { $0.names = $0.names.map { .dns("xn--*.\($0)") } }

    private static func topLevel(of host: String, _ label: String) -> String {
        "\(label).\(host.split(separator: ".").last ?? "test")"
    }
}
