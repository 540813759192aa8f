<?php

// The page that PUBLISH_URL names: Snug asks it about what visitors want to say, before anybody hears of it.

declare(strict_types=1);

namespace Example;

use Snug\BadSignature;
use Snug\Submission;
use Snug\Verdict;
use Snug\Webhook;

require_once __DIR__ . '/../site.php';

$judge = static function (Submission $message): Verdict {
    $text = $message->data['text'] ?? null;
    return match (true) {
        !is_string($text) || preg_match('/^.{1,500}$/Dsu', $text) !== 1 => Verdict::refuse('a message is a text of 500 characters at most'),
        preg_match('~https?://~i', $text) === 1 => Verdict::refuse('no links, please'),
        default => Verdict::replace(['text' => trim($text)]),
    };
};

try {
    $answer = (new Webhook(setting('WEBHOOK_SECRET')))
        ->judge((string) file_get_contents('php://input'), getallheaders(), $judge);
} catch (BadSignature $e) {
    error_log($e->getMessage());
    refuse(401);
}
header('Content-Type: application/json');
echo $answer;
