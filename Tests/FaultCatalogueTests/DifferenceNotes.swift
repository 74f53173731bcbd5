// Why programs differ about a fault: the last column of docs/CERTIFICATE-FAULTS.md.

let differenceNotes: [String: String] = [
    "hostInIPName": commonName,
    "noSAN": commonName,
    "uriOnly": commonName,
    "version1": commonName,
    "trailingDot": "curl drops the dot of the name in the certificate",
    "uLabelBeside": "RFC 5280 §7.2 allows only A-labels; the others match the other name",
    "nulBeside": "No DNS name has a NUL; the others match the other name",
    "wildcardPartial": "RFC 9525 §6.3 allows only a whole label; OpenSSL must be told so "
        + "(`X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS`), and its commands have no option for it",
    "anyEKU": "RFC 5280 §4.2.1.12 leaves it to the verifier; GnuTLS lets any purpose serve",
    "keyUsageWithoutSignature":
        "RFC 8446 §4.4.2.2 demands digitalSignature; OpenSSL takes any bit that TLS ever used",
    "caAsServer": "A rule of this package: an authority's key has no business on a server",
    "mustStapleWithout":
        "RFC 7633; OpenSSL and curl do not read the extension, GnuTLS does",
    "chainTooLong": "The default of `TLSLimits.certificateChainDepth` is 10, OpenSSL's is 100",
    "oversizedChain": "`TLSLimits.certificateChainBytes` and OpenSSL's own default are 100 KiB; "
        + "`openssl verify` reads files, GnuTLS allows more",
    "wrongKeyForCert": "The chain is in order; only a handshake shows that the key is another",
    "rsa1024": "Below security level 2 of OpenSSL; GnuTLS's default is lower",
    "p192": "Below security level 2 of OpenSSL; GnuTLS's default is lower",
    "dsa": "A rule of this package: TLS 1.3 has no signatures of DSA; "
        + "2,048 bits meet the others' levels",
    "negativeSerial": serial,
    "zeroSerial": serial,
    "longSerial": serial,
    "uncriticalName": form,
    "pathLengthOnLeaf": form,
    "leafMaySignCertificates": form,
    "missingAuthorityKeyIdentifier": form,
    "missingSubjectKeyIdentifier": form,
    "caWithoutKeyUsage": form,
    "emptyIssuer": "RFC 5280 §4.1.2.4; GnuTLS links a chain also by empty names",
    "expiresInOneSecond": "Over before another program has begun",
]

/// Why programs differ about a state of revocation: the last column of docs/REVOCATION-FAULTS.md.
let revocationNotes: [String: String] = [
    "listMissing": "Without a list curl and GnuTLS look at none",
    "listUnknownCritical": "RFC 5280 §5.2; GnuTLS takes the list",
    "ocspUnknown": inconclusive,
    "ocspTryLater": inconclusive,
    "ocspUnauthorized": inconclusive,
    "ocspFuture": "GnuTLS does not hold thisUpdate against its clock",
    "ocspWrongIssuer": "GnuTLS compares the serial number and not the issuer",
    "ocspEmpty": "No bytes cannot be stapled (RFC 6066 §8), so nothing is; GnuTLS demands nothing",
]

private let inconclusive =
    "RFC 6066 §8 leaves what is inconclusive to the client; GnuTLS connects as if nothing was stapled"

private let commonName =
    "Without a DNS name among the alternative names the others fall back to "
    + "the common name, which RFC 9525 rules out"
private let form = "RFC 5280 is held to the letter here and under `-x509_strict`, not by default"
private let serial = "RFC 5280 §4.1.2.2; the others do not look at serial numbers"
