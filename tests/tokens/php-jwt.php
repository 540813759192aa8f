<?php

// Prints tokens signed by firebase/php-jwt, and the keys that verify them, as JSON: see README.md.
// Arguments: php-jwt's src folder or an autoloader, and php-jwt's version, which its sources do not contain.

use Firebase\JWT\JWT;

if ($argc !== 3) {
    fwrite(STDERR, "Usage: php php-jwt.php <src or autoload.php> <version>\n");
    exit(2);
}
[, $source, $version] = $argv;
require is_dir($source) ? "$source/JWT.php" : $source;

$claims = [
    'sub' => 'ann',
    'iss' => 'https://issuer.example',
    'iat' => time(),
    'exp' => 4102444800, // the year 2100, because recorded tokens must not expire
    'rooms' => ['*'],
    'info' => ['name' => '安 🦀'], // shows how the library escapes JSON
];

function withSecret(string $algorithm, int $bytes): array
{
    global $claims;
    $secret = random_bytes($bytes);
    return [
        'algorithm' => $algorithm,
        'secret' => 'base64url:' . base64url($secret),
        'token' => JWT::encode($claims, $secret, $algorithm),
    ];
}

/** Takes the private key in php-jwt's format, and the parameters of the public key by their names in a JWK. */
function withKey(string $algorithm, mixed $private, array $public): array
{
    global $claims;
    ['kty' => $kty] = $public;
    $kid = "php-jwt-$algorithm";
    return [
        'algorithm' => $algorithm,
        'jwk' => ['kty' => $kty, 'alg' => $algorithm, 'kid' => $kid, 'use' => 'sig'] + $public,
        'token' => JWT::encode($claims, $private, $algorithm, $kid),
    ];
}

function withRsa(): array
{
    $key = openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_RSA, 'private_key_bits' => 2048]);
    ['n' => $n, 'e' => $e] = openssl_pkey_get_details($key)['rsa'];
    return withKey('RS256', $key, ['kty' => 'RSA', 'n' => base64url($n), 'e' => base64url($e)]);
}

function withP256(): array
{
    $key = openssl_pkey_new(['private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1']);
    ['x' => $x, 'y' => $y] = openssl_pkey_get_details($key)['ec'];
    // OpenSSL drops leading zeros, but a JWK must have them.
    $coordinate = fn (string $number) => base64url(str_pad($number, 32, "\0", STR_PAD_LEFT));
    $public = ['kty' => 'EC', 'crv' => 'P-256', 'x' => $coordinate($x), 'y' => $coordinate($y)];
    return withKey('ES256', $key, $public);
}

function withEd25519(): array
{
    $pair = sodium_crypto_sign_keypair();
    $private = base64_encode(sodium_crypto_sign_secretkey($pair));
    $x = base64url(sodium_crypto_sign_publickey($pair));
    return withKey('EdDSA', $private, ['kty' => 'OKP', 'crv' => 'Ed25519', 'x' => $x]);
}

function base64url(string $bytes): string
{
    return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
}

$recorded = [
    'made_by' => "firebase/php-jwt $version",
    'keys' => [
        // The size of the hash, which is the minimum in RFC 7518.
        withSecret('HS256', 32),
        withSecret('HS384', 48),
        withSecret('HS512', 64),
        withRsa(), // php-jwt has no PS256
        withP256(),
        withEd25519(),
    ],
];
$json = json_encode($recorded, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR);
// PHP indents by four spaces, but this repository by two.
echo preg_replace('/^( +)\1/m', '$1', $json), "\n";
