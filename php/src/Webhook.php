<?php

declare(strict_types=1);

namespace Snug;

use Closure;
use InvalidArgumentException;
use JsonException;

/**
 * The receiving end of what Snug sends: events to `WEBHOOK_URL`, and messages to be judged to `PUBLISH_URL`.
 *
 * Signatures are those of Standard Webhooks 1.0 (https://www.standardwebhooks.com): HMAC-SHA256 over
 * `id.timestamp.body`.
 */
final class Webhook
{
    /** How old a request may be, or how far in the future by a clock that differs. */
    private const TOLERANCE_SECONDS = 300;

    private const KEY_BYTES_MIN = 24;
    private const KEY_BYTES_MAX = 64;

    /** @var list<string> */
    private array $keys;

    /**
     * @param string ...$secrets what the Worker has as `WEBHOOK_SECRET`, `whsec_…`; while it is changed, both
     *
     * @throws InvalidArgumentException where one is of another form
     */
    public function __construct(#[\SensitiveParameter] string ...$secrets)
    {
        if ($secrets === []) {
            throw new InvalidArgumentException('a webhook is verified with a secret');
        }
        $this->keys = array_map(self::keyOf(...), array_values($secrets));
    }

    /**
     * Verifies a request to `WEBHOOK_URL`, and gives what it tells.
     *
     * The same events may come twice, where an answer was lost: skip those whose `seq` you have had.
     *
     * @param string $body the body as it came: `file_get_contents('php://input')`
     * @param array<string, string|array<string>> $headers as `getallheaders()` or a PSR-7 request gives them
     *
     * @throws BadSignature
     */
    public function events(string $body, array $headers): Delivery
    {
        $data = $this->verify($body, $headers, 'room.events');
        return new Delivery(
            self::header($headers, 'webhook-id'),
            $data['room'],
            array_map(Event::from(...), $data['events']),
        );
    }

    /**
     * Verifies a request to `PUBLISH_URL`, asks about each message in it, and gives the body to answer with.
     *
     * @param string $body the body as it came: `file_get_contents('php://input')`
     * @param array<string, string|array<string>> $headers as `getallheaders()` or a PSR-7 request gives them
     * @param Closure(Submission): Verdict $judge is asked about one message after the other
     *
     * @return string JSON, to be answered with 200 within 2 seconds
     *
     * @throws BadSignature
     * @throws JsonException where a verdict has no form in JSON
     */
    public function judge(string $body, array $headers, Closure $judge): string
    {
        $data = $this->verify($body, $headers, 'room.publish');
        $verdicts = array_map(
            static fn (array $json): Verdict => $judge(Submission::from($data['room'], $json)),
            $data['messages'],
        );
        return Json::encode(['verdicts' => $verdicts]);
    }

    /** Keeps the secrets out of dumps. */
    public function __debugInfo(): array
    {
        return ['secrets' => count($this->keys)];
    }

    /**
     * @param array<string, string|array<string>> $headers
     * @return array<string, mixed> what was sent
     */
    private function verify(string $body, array $headers, string $type): array
    {
        $id = self::header($headers, 'webhook-id');
        $timestamp = self::header($headers, 'webhook-timestamp');
        if (preg_match('/^\d{1,12}$/D', $timestamp) !== 1) {
            throw new BadSignature('webhook-timestamp is no time');
        }
        if (abs(time() - (int) $timestamp) > self::TOLERANCE_SECONDS) {
            throw new BadSignature('webhook-timestamp is more than five minutes away from now');
        }
        if (!$this->isSigned("$id.$timestamp.$body", self::header($headers, 'webhook-signature'))) {
            throw new BadSignature('no signature holds');
        }
        $json = json_decode($body, true);
        if (!is_array($json) || ($json['type'] ?? null) !== $type) {
            throw new BadSignature("it is signed, but it is no '$type'");
        }
        return $json['data'];
    }

    /** Tries each key with each signature, in the same time whatever is wrong. */
    private function isSigned(string $content, string $signatures): bool
    {
        $holds = false;
        foreach ($this->keys as $key) {
            $expected = 'v1,' . base64_encode(hash_hmac('sha256', $content, $key, true));
            foreach (explode(' ', $signatures) as $signature) {
                $holds = hash_equals($expected, $signature) || $holds;
            }
        }
        return $holds;
    }

    /** @param array<string, string|array<string>> $headers */
    private static function header(array $headers, string $name): string
    {
        foreach ($headers as $key => $value) {
            if (strtolower((string) $key) === $name) {
                return is_array($value) ? implode(',', $value) : $value;
            }
        }
        throw new BadSignature("there is no $name");
    }

    private static function keyOf(#[\SensitiveParameter] string $secret): string
    {
        $key = str_starts_with($secret, 'whsec_') ? base64_decode(substr($secret, 6), true) : false;
        if ($key === false || strlen($key) < self::KEY_BYTES_MIN || strlen($key) > self::KEY_BYTES_MAX) {
            throw new InvalidArgumentException('a webhook\'s secret is whsec_ and 24 to 64 bytes as base64');
        }
        return $key;
    }
}
