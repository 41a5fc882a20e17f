"""What the policy-gradient agents share: settings, acting, experience, losses, gradient steps."""
