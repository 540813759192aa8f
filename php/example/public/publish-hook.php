<?php

// PUBLISH_URL points here. Snug sends each message here, and waits for a decision before it stores the message.

declare(strict_types=1);

namespace Example;

use Snug\Decision;
use Snug\ProposedMessage;
use Snug\Webhook;
use Snug\WebhookVerificationException;

require_once __DIR__ . '/../site.php';

$decide = static function (ProposedMessage $message): Decision {
    $text = $message->data['text'] ?? null;
    if (!is_string($text) || preg_match('/^.{1,500}$/Dsu', $text) !== 1) {
        return Decision::refuse('text must be a string of 1 to 500 characters');
    }
    if (preg_match('~https?://~i', $text) === 1) {
        return Decision::refuse('links are not allowed');
    }
    return Decision::replace(['text' => trim($text)]);
};

try {
    $response = (new Webhook(setting('WEBHOOK_SECRET')))
        ->decide((string) file_get_contents('php://input'), getallheaders(), $decide);
} catch (WebhookVerificationException $e) {
    error_log($e->getMessage());
    respond(401);
}
header('Content-Type: application/json');
echo $response;
