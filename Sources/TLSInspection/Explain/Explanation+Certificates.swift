// Verdicts on certificates in plain words: OpenSSL's X509_V_ERR_… by number, and this package's from 1000
// on. A line is number | name | meaning | causes by semicolons.

extension Explanation {
    /// The verdicts.
    static let certificates = table(
        .certificate,
        """
        0 | OK | The chain is trusted. | Nothing is wrong
        1 | UNSPECIFIED | The verification failed, and does not say why. | An application's own check
        2 | UNABLE_TO_GET_ISSUER_CERT | The issuer of a certificate in the chain is not known. | An intermediate is missing
        3 | UNABLE_TO_GET_CRL | There is no revocation list of this issuer. | Revocation is demanded, and no list was given
        4 | UNABLE_TO_DECRYPT_CERT_SIGNATURE | The certificate's signature cannot be read. | A damaged file
        5 | UNABLE_TO_DECRYPT_CRL_SIGNATURE | The revocation list's signature cannot be read. | A damaged file
        6 | UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY | The issuer's key cannot be read. | A key type that is not known here
        7 | CERT_SIGNATURE_FAILURE | The certificate's signature is wrong. | Two authorities of one name; a forged or damaged certificate
        8 | CRL_SIGNATURE_FAILURE | The revocation list's signature is wrong. | A list of another authority of that name
        9 | CERT_NOT_YET_VALID | The certificate is not valid yet. | The clock of this machine is slow; it was issued ahead of time
        10 | CERT_HAS_EXPIRED | The certificate is expired. | It was not renewed, or the server was not told to read the new one; an intermediate or root expired; the clock is fast
        11 | CRL_NOT_YET_VALID | The revocation list is not valid yet. | The clock is slow
        12 | CRL_HAS_EXPIRED | The revocation list is old: its successor is overdue. | It is not fetched any more
        13 | ERROR_IN_CERT_NOT_BEFORE_FIELD | The first date of the certificate cannot be read. | A malformed certificate
        14 | ERROR_IN_CERT_NOT_AFTER_FIELD | The last date of the certificate cannot be read. | A malformed certificate
        15 | ERROR_IN_CRL_LAST_UPDATE_FIELD | The date of the revocation list cannot be read. | A malformed list
        16 | ERROR_IN_CRL_NEXT_UPDATE_FIELD | The next date of the revocation list cannot be read. | A malformed list
        17 | OUT_OF_MEM | Memory ran out. | The machine is short of it
        18 | DEPTH_ZERO_SELF_SIGNED_CERT | The server's certificate signed itself and is no anchor. | A certificate made for tests; a default of the server; give it as anchor if it is meant
        19 | SELF_SIGNED_CERT_IN_CHAIN | The chain ends in a root that is not trusted here. | A private authority; a proxy that looks into TLS; a store of anchors that is old
        20 | UNABLE_TO_GET_ISSUER_CERT_LOCALLY | The issuer is not among the anchors, and was not sent. | The server does not send its intermediate; a private authority; an empty store of anchors
        21 | UNABLE_TO_VERIFY_LEAF_SIGNATURE | One certificate alone came, and its issuer is not known. | The server does not send its intermediate
        22 | CERT_CHAIN_TOO_LONG | The chain is longer than allowed. | Too many intermediates
        23 | CERT_REVOKED | The issuer has revoked the certificate. | The key was lost or the name changed hands; issue a new one
        24 | NO_ISSUER_PUBLIC_KEY | The issuer has no key. | A malformed certificate
        25 | PATH_LENGTH_EXCEEDED | There are more authorities below one than it allows. | An intermediate issued by one that must not
        26 | INVALID_PURPOSE | The certificate may not be used for this. | A client's certificate on a server; an extended key usage without serverAuth
        27 | CERT_UNTRUSTED | The root is marked as not trusted for this purpose. | A setting of the store of anchors
        28 | CERT_REJECTED | The root is marked as rejected for this purpose. | A setting of the store of anchors
        29 | SUBJECT_ISSUER_MISMATCH | The issuer's name is another. | The wrong intermediate
        30 | AKID_SKID_MISMATCH | The key identifiers do not belong together. | The wrong intermediate of the right name
        31 | AKID_ISSUER_SERIAL_MISMATCH | The issuer's serial number is another. | The wrong intermediate of the right name
        32 | KEYUSAGE_NO_CERTSIGN | The issuer's key may not sign certificates. | A leaf was used as an authority
        33 | UNABLE_TO_GET_CRL_ISSUER | The issuer of the revocation list is not known. | An indirect list
        34 | UNHANDLED_CRITICAL_EXTENSION | A critical extension is not understood. | A certificate for a special purpose
        35 | KEYUSAGE_NO_CRL_SIGN | The issuer's key may not sign revocation lists. | An authority without that key usage
        36 | UNHANDLED_CRITICAL_CRL_EXTENSION | A critical extension of the list is not understood. | A list for a special purpose
        37 | INVALID_NON_CA | A certificate that is no authority has marks of one. | A malformed certificate
        38 | PROXY_PATH_LENGTH_EXCEEDED | Too many proxy certificates. | A chain of proxies
        39 | KEYUSAGE_NO_DIGITAL_SIGNATURE | The key may not sign. | A key usage without digitalSignature
        40 | PROXY_CERTIFICATES_NOT_ALLOWED | Proxy certificates are not accepted. | They need a setting
        41 | INVALID_EXTENSION | An extension is malformed or contradicts another. | A malformed certificate
        42 | INVALID_POLICY_EXTENSION | The policies of the certificate are malformed. | A malformed certificate
        43 | NO_EXPLICIT_POLICY | No policy is valid for the whole chain. | An authority demands one
        44 | DIFFERENT_CRL_SCOPE | The revocation list is for other certificates. | The wrong list
        45 | UNSUPPORTED_EXTENSION_FEATURE | An extension uses what is not supported. | A certificate for a special purpose
        46 | UNNESTED_RESOURCE | Addresses of the certificate are not within those of its issuer. | A certificate of internet resources
        47 | PERMITTED_VIOLATION | The name is none of those the authority may issue for. | A name constraint of an authority of one domain
        48 | EXCLUDED_VIOLATION | The name is one of those the authority must not issue for. | A name constraint
        49 | SUBTREE_MINMAX | A name constraint has bounds that are not supported. | A malformed authority
        50 | APPLICATION_VERIFICATION | The application refused the certificate. | A rule of its own
        51 | UNSUPPORTED_CONSTRAINT_TYPE | A name constraint is of a kind that is not supported. | An unusual authority
        52 | UNSUPPORTED_CONSTRAINT_SYNTAX | A name constraint is malformed. | A malformed authority
        53 | UNSUPPORTED_NAME_SYNTAX | A name is malformed. | A malformed certificate
        54 | CRL_PATH_VALIDATION_ERROR | The revocation list's own chain is not trusted. | An indirect list
        55 | PATH_LOOP | The chain runs in a circle. | Two authorities that signed each other
        56 | SUITE_B_INVALID_VERSION | Suite B demands another version of the certificate. | Suite B is switched on
        57 | SUITE_B_INVALID_ALGORITHM | Suite B demands another key. | Suite B is switched on
        58 | SUITE_B_INVALID_CURVE | Suite B demands another curve. | Suite B is switched on
        59 | SUITE_B_INVALID_SIGNATURE_ALGORITHM | Suite B demands another signature. | Suite B is switched on
        60 | SUITE_B_LOS_NOT_ALLOWED | Suite B demands a higher level. | Suite B is switched on
        61 | SUITE_B_CANNOT_SIGN_P_384_WITH_P_256 | A weaker key signed a stronger one. | Suite B is switched on
        62 | HOSTNAME_MISMATCH | The certificate is for another name. | The wrong virtual host answered; a name that is missing among the alternative names; a wildcard covers one label only; a common name is not looked at
        63 | EMAIL_MISMATCH | The certificate is for another mail address. | The wrong certificate
        64 | IP_ADDRESS_MISMATCH | The certificate is not for this IP address. | Addresses must stand among the alternative names as addresses
        65 | DANE_NO_MATCH | No TLSA record of DNS fits the chain. | The certificate was renewed and the record was not
        66 | EE_KEY_TOO_SMALL | The certificate's key is too small for the security level. | RSA of less than 2048 bits
        67 | CA_KEY_TOO_SMALL | An authority's key is too small for the security level. | An old authority
        68 | CA_MD_TOO_WEAK | A signature in the chain has too weak a hash. | SHA-1 or MD5
        69 | INVALID_CALL | The verification was called wrongly. | A bug of the program
        70 | STORE_LOOKUP | The store of anchors could not be read. | A file or folder that is missing
        71 | NO_VALID_SCTS | No valid proof of certificate transparency. | A certificate that was not logged
        72 | PROXY_SUBJECT_NAME_VIOLATION | A proxy certificate's name is not that of its issuer. | A malformed proxy certificate
        73 | OCSP_VERIFY_NEEDED | OCSP has to be asked. | Revocation is demanded
        74 | OCSP_VERIFY_FAILED | OCSP could not be verified. | The responder's certificate
        75 | OCSP_CERT_UNKNOWN | The responder does not know the certificate. | The wrong responder
        76 | UNSUPPORTED_SIGNATURE_ALGORITHM | The signature is of a kind that is not supported. | An unusual algorithm
        77 | SIGNATURE_ALGORITHM_MISMATCH | The signature is not of the issuer's kind of key. | A malformed certificate
        78 | SIGNATURE_ALGORITHM_INCONSISTENCY | The certificate names two signature algorithms. | A malformed certificate
        79 | INVALID_CA | A certificate signed another and is no authority. | A leaf was used as an authority; basicConstraints are missing
        80 | PATHLEN_INVALID_FOR_NON_CA | A path length at a certificate that is no authority. | A malformed certificate
        81 | PATHLEN_WITHOUT_KU_KEY_CERT_SIGN | A path length at an authority that may not sign. | A malformed certificate
        82 | KU_KEY_CERT_SIGN_INVALID_FOR_NON_CA | A certificate that is no authority may sign others. | A malformed certificate
        83 | ISSUER_NAME_EMPTY | The issuer has no name. | A malformed certificate
        84 | SUBJECT_NAME_EMPTY | The subject has no name. | A malformed authority
        85 | MISSING_AUTHORITY_KEY_IDENTIFIER | The issuer's key identifier is missing. | A strict check of a simple certificate
        86 | MISSING_SUBJECT_KEY_IDENTIFIER | The key identifier is missing. | A strict check of a simple certificate
        87 | EMPTY_SUBJECT_ALT_NAME | The list of alternative names is empty. | A malformed certificate
        88 | EMPTY_SUBJECT_SAN_NOT_CRITICAL | Without a subject the alternative names must be critical. | A malformed certificate
        89 | CA_BCONS_NOT_CRITICAL | The mark of an authority must be critical. | A malformed authority
        90 | AUTHORITY_KEY_IDENTIFIER_CRITICAL | The issuer's key identifier must not be critical. | A malformed certificate
        91 | SUBJECT_KEY_IDENTIFIER_CRITICAL | The key identifier must not be critical. | A malformed certificate
        92 | CA_CERT_MISSING_KEY_USAGE | An authority has no key usage. | A strict check of a simple authority
        93 | EXTENSIONS_REQUIRE_VERSION_3 | Extensions in a certificate of an old version. | A malformed certificate
        94 | EC_KEY_EXPLICIT_PARAMS | The curve is written out instead of named. | An unusual key
        1001 | leafIsCA | The certificate of an authority is used by a server. | A root was installed as the server's certificate
        1002 | invalidSerialNumber | The serial number is zero, negative or too long. | A home-made authority
        1003 | alternativeNameNotCritical | Without a subject the alternative names must be critical. | A malformed certificate
        1004 | nameNotInALabels | A name is not written in A-labels (xn--…). | An international name as it is spoken
        1005 | noAnchors | There are no anchors at all. | An empty file, or no store of the system
        1006 | keyMayNotSign | The key may not sign a handshake. | A key usage without digitalSignature
        1007 | stapleMissing | The certificate demands a stapled OCSP response, and none came. | OCSP stapling of the server is off, or has not fetched one yet
        1008 | obsoleteKey | The key is of a kind that TLS 1.3 has no signatures of. | DSA
        1009 | pinMismatch | No certificate matches a pin. | The key was changed and the pin was not
        1020 | revocationUnknown | Revocation must be known, and nobody says anything. | No staple and no list
        1021 | stapleMalformed | The staple is no OCSP response. | A wrong file
        1022 | stapleTooLarge | The staple is larger than allowed. | A responder that sends whole chains
        1023 | stapleTryLater | The responder cannot answer now. | It is overloaded
        1024 | stapleUnauthorized | The responder does not answer for this certificate. | It does not know it yet
        1025 | stapleResponderFailed | The responder failed. | A fault over there
        1026 | stapleBadSignature | The staple's signature is wrong. | A forged or damaged response
        1027 | stapleResponderNotAuthorized | Somebody signed the staple who must not. | A responder without the right certificate
        1028 | stapleOfAnotherCertificate | The staple is of another certificate. | The certificate was renewed and the staple was not
        1029 | stapleStatusUnknown | The responder does not know the certificate. | The wrong responder
        1030 | stapleExpired | The staple is old. | The server does not fetch new ones
        1031 | stapleNotYetValid | The staple is of a time that has not come. | A clock is wrong
        1032 | stapleTooOld | The staple is older than allowed. | The server does not fetch new ones
        1033 | stapleUnhandledCriticalExtension | The staple has a critical extension that is not understood. | An unusual responder
        1034 | stapleSignatureTooWeak | The staple is signed too weakly. | An old responder
        """
    )
}
