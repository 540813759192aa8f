<?php

// What every page of the site has in common: its settings, sessions, forms, and Snug.

declare(strict_types=1);

namespace Example;

use GuzzleHttp\Client;
use GuzzleHttp\Psr7\HttpFactory;
use Snug\Snug;
use Snug\TokenMint;

require_once __DIR__ . '/../autoload.php';

/** The room that the site has. */
const ROOM = 'lobby';

/** Who speaks for the site. Nobody can sign in under a name like it: see sign-in.php. */
const SITE = 'site';

/** For how long the site vouches for a visitor. Then it is asked again, which keeps the session alive, too. */
const TOKEN_SECONDS = 600;

/** For how long Snug takes a token that has ended, since clocks differ: its JWT_LEEWAY_SECONDS. */
const LEEWAY_SECONDS = 5;

/** A setting, by the environment. */
function setting(string $name, ?string $default = null): string
{
    $value = getenv($name);
    return $value !== false && $value !== '' ? $value : $default ?? throw new \RuntimeException("$name is not set");
}

/** Where Snug is, as browsers reach it. */
function snugUrl(): string
{
    return rtrim(setting('SNUG_URL', 'http://127.0.0.1:8787'), '/');
}

function mint(): TokenMint
{
    return new TokenMint(setting('JWT_SECRET'));
}

/** Snug, to speak to as the site. */
function snug(): Snug
{
    $factory = new HttpFactory();
    return new Snug(snugUrl(), mint(), new Client(['timeout' => 5]), $factory, $factory, SITE);
}

/** Opens the visitor's session. Its cookie is for this host, whatever the port, and so for Snug as well. */
function openSession(): void
{
    session_start([
        'use_strict_mode' => true,
        'cookie_httponly' => true,
        'cookie_samesite' => 'Lax',
        'cookie_secure' => isset($_SERVER['HTTPS']),
    ]);
}

/**
 * Who asks for a token, or is asked about. Who has no session gets none.
 *
 * @return array{id: string, name: string, by: string}
 */
function requireVisitor(): array
{
    if (isset($_COOKIE[session_name()])) {
        openSession();
    }
    return visitor() ?? refuse(401);
}

/**
 * Who is signed in, if anybody is.
 *
 * @return array{id: string, name: string, by: string}|null
 */
function visitor(): ?array
{
    return $_SESSION['visitor'] ?? null;
}

/** What a form of the site has with it, and a form of another site can't have. */
function formToken(): string
{
    return $_SESSION['form'] ??= bin2hex(random_bytes(16));
}

/** Goes on only for a form of the site's own. */
function requireForm(): void
{
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        refuse(405);
    }
    $sent = $_POST['form'] ?? null;
    if (!is_string($sent) || !hash_equals(formToken(), $sent)) {
        refuse(403);
    }
}

/** Answers with a status and nothing else. */
function refuse(int $status): never
{
    http_response_code($status);
    exit;
}

/** Goes to the page. */
function goHome(): never
{
    header('Location: ./', true, 303);
    exit;
}

/** Text as it may stand in HTML. */
function e(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5);
}

/** A user's name: the id without what tells two of the same name apart. */
function nameOf(string $id): string
{
    return preg_replace('/#[0-9a-f]{6}$/D', '', $id);
}

/** What a page may load: the site's own files, and from Snug its client. Nothing that stands in the page itself. */
function sendHeaders(): void
{
    $snug = snugUrl();
    $socket = preg_replace('/^http/', 'ws', $snug);
    header("Content-Security-Policy: default-src 'none'; script-src 'self' $snug; style-src 'self'; "
        . "connect-src 'self' $snug $socket; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
    header('Content-Type: text/html; charset=utf-8');
    header('Cache-Control: no-store');
    header('Referrer-Policy: same-origin');
    header('X-Content-Type-Options: nosniff');
}
